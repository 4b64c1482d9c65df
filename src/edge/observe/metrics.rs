//! Numbers for Prometheus, in its text format: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use super::Kind;

/// Upper ends of the histograms' buckets in seconds: a cached page takes under one millisecond, a person
/// waits for ten seconds at most.
const SECONDS: [f64; 12] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0,
];
const KINDS: [(Kind, &str); 4] = [
    (Kind::Site, "site"),
    (Kind::Files, "files"),
    (Kind::Proxy, "proxy"),
    (Kind::None, "none"),
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What the page cache did with a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) enum Cached {
    /// It had the page.
    Hit,
    /// The application rendered it.
    Miss,
    /// It may not be kept.
    Pass,
}

type Labels = [(&'static str, &'static str); 1];
type TwoLabels = [(&'static str, &'static str); 2];

/// The numbers of this process; one for all threads.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// By kind of host, then by class of status.
    requests: [[Counter; 5]; 4],
    /// By kind of host.
    seconds: [Histogram; 4],
    sent_bytes: Counter,
    cached: [Counter; 3],
}

/// A number that another module keeps.
pub struct Reading {
    /// As Prometheus names it, without `webstead_` and `_total`.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Whether it only grows.
    pub is_counter: bool,
    /// With labels, if there are several.
    pub values: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// Numbers that other modules keep, read when somebody asks.
struct Readings(Box<dyn Fn() -> Vec<Reading> + Send + Sync>);

impl Metrics {
    /// Nothing has been counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("webstead");
        let requests = Family::<TwoLabels, Counter>::default();
        registry.register("requests", "Requests that were answered", requests.clone());
        let seconds = Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(SECONDS)
        });
        let help = "Time until the last byte of the answer was on its way";
        registry.register("request_seconds", help, seconds.clone());
        let sent_bytes = Counter::default();
        registry.register(
            "sent_bytes",
            "Bytes of the answers' bodies",
            sent_bytes.clone(),
        );
        let cached = Family::<Labels, Counter>::default();
        registry.register("page_cache", "What the page cache did", cached.clone());
        Self {
            requests: KINDS.map(|(_, kind)| {
                CLASSES.map(|class| {
                    requests
                        .get_or_create(&[("host", kind), ("status", class)])
                        .clone()
                })
            }),
            seconds: KINDS.map(|(_, kind)| seconds.get_or_create(&[("host", kind)]).clone()),
            sent_bytes,
            cached: ["hit", "miss", "pass"]
                .map(|outcome| cached.get_or_create(&[("outcome", outcome)]).clone()),
            registry: Mutex::new(registry),
        }
    }

    /// Counts a request that was answered.
    pub(super) fn request(&self, kind: Kind, status: StatusCode, took: Duration, bytes: u64) {
        let kind = KINDS
            .iter()
            .position(|(known, _)| *known == kind)
            .unwrap_or(KINDS.len() - 1);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.requests[kind][class].inc();
        self.seconds[kind].observe(took.as_secs_f64());
        self.sent_bytes.inc_by(bytes);
    }

    /// Counts what the page cache did.
    pub(in crate::edge) fn cached(&self, outcome: Cached) {
        self.cached[outcome as usize].inc();
    }

    /// Requests that the page cache answered, and all that it was asked for.
    pub fn cache_share(&self) -> (u64, u64) {
        let all = self.cached.iter().map(Counter::get).sum();
        (self.cached[Cached::Hit as usize].get(), all)
    }

    /// Shows numbers that other modules keep, too.
    pub fn also(&self, readings: impl Fn() -> Vec<Reading> + Send + Sync + 'static) {
        let readings = Box::new(Readings(Box::new(readings)));
        self.registry().register_collector(readings);
    }

    /// All numbers, as Prometheus reads them.
    ///
    /// # Errors
    /// None in practice: the text is made in memory.
    pub(in crate::edge) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry())?;
        Ok(text)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for reading in (self.0)() {
            let metric: fn(f64) -> Box<dyn Shown> = if reading.is_counter {
                |value| Box::new(ConstCounter::new(value))
            } else {
                |value| Box::new(ConstGauge::new(value))
            };
            let kind = metric(0.0).kind();
            let mut family = encoder.encode_descriptor(reading.name, reading.help, None, kind)?;
            for (labels, value) in &reading.values {
                if labels.is_empty() {
                    metric(*value).show(family)?;
                    break;
                }
                metric(*value).show(family.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

/// A constant number of either kind.
trait Shown {
    fn kind(&self) -> prometheus_client::metrics::MetricType;
    fn show(&self, encoder: prometheus_client::encoding::MetricEncoder) -> fmt::Result;
}

impl<M: EncodeMetric> Shown for M {
    fn kind(&self) -> prometheus_client::metrics::MetricType {
        self.metric_type()
    }

    fn show(&self, encoder: prometheus_client::encoding::MetricEncoder) -> fmt::Result {
        self.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown_with_what_other_modules_keep() {
        let metrics = Metrics::new();
        let took = Duration::from_micros(700);
        metrics.request(Kind::Site, StatusCode::OK, took, 10);
        metrics.request(Kind::Site, StatusCode::NOT_MODIFIED, took, 0);
        metrics.request(Kind::None, StatusCode::MISDIRECTED_REQUEST, took, 5);
        metrics.cached(Cached::Hit);
        metrics.also(|| {
            vec![Reading {
                name: "upstream_up",
                help: "Whether it is well",
                is_counter: false,
                values: vec![(vec![("upstream", "a\"b".into())], 1.0)],
            }]
        });
        let text = metrics.text().unwrap();
        for line in [
            "webstead_requests_total{host=\"site\",status=\"2xx\"} 1",
            "webstead_requests_total{host=\"none\",status=\"4xx\"} 1",
            "webstead_request_seconds_bucket{le=\"0.0005\",host=\"site\"} 0",
            "webstead_request_seconds_bucket{le=\"0.001\",host=\"site\"} 2",
            "webstead_sent_bytes_total 15",
            "webstead_page_cache_total{outcome=\"hit\"} 1",
            "webstead_upstream_up{upstream=\"a\\\"b\"} 1.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
    }
}

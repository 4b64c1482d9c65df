//! Where names can be changed: what each provider wants to know, as the form asks for it.
//!
//! The keys are those of `[dns]` in `webstead.toml`. A provider whose keys this program does not take is not offered.

use serde_json::{Map, Value};

/// A DNS provider, or a language that DNS servers speak.
pub struct Provider {
    /// As `provider` has it.
    pub id: &'static str,
    /// What a person knows it as.
    pub title: &'static str,
    /// What it wants to know.
    pub fields: &'static [Field],
    /// What the secret is called there.
    pub token: &'static str,
    /// Where the secret is found.
    pub token_hint: &'static str,
}

/// One thing that it wants to know.
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// What a person reads.
    pub label: &'static str,
    /// What to write.
    pub hint: &'static str,
    /// Something that could be there.
    pub example: &'static str,
    /// The only values, if there are few.
    pub choices: &'static [&'static str],
}

const fn field(
    key: &'static str,
    label: &'static str,
    hint: &'static str,
    example: &'static str,
) -> Field {
    Field {
        key,
        label,
        hint,
        example,
        choices: &[],
    }
}

const ZONE: Field = field(
    "zone",
    "Zone",
    "The domain as it is registered there, such as example.org.",
    "example.org",
);

/// All that are known, the largest first.
pub const PROVIDERS: [Provider; 8] = [
    Provider {
        id: "cloudflare",
        title: "Cloudflare",
        fields: &[ZONE],
        token: "API token",
        token_hint: "Made under My Profile, API Tokens, with the permission to edit the DNS of this zone.",
    },
    Provider {
        id: "desec",
        title: "deSEC",
        fields: &[ZONE],
        token: "Token",
        token_hint: "Made under Token Management.",
    },
    Provider {
        id: "duckdns",
        title: "DuckDNS",
        fields: &[],
        token: "Token",
        token_hint: "It stands at the top of duckdns.org when you are signed in.",
    },
    Provider {
        id: "gandi",
        title: "Gandi",
        fields: &[ZONE],
        token: "Personal access token",
        token_hint: "Made under your account's settings, with the permission to manage domain name configurations.",
    },
    Provider {
        id: "hetzner",
        title: "Hetzner",
        fields: &[ZONE],
        token: "API token",
        token_hint: "Made in the console of the project that has the zone, with the permission to read and write.",
    },
    Provider {
        id: "ovh",
        title: "OVH",
        fields: &[ZONE],
        token: "Application key, application secret and consumer key",
        token_hint: "All three, in this order, with spaces between.",
    },
    Provider {
        id: "rfc2136",
        title: "A DNS server that takes signed changes (RFC 2136, TSIG)",
        fields: &[
            field(
                "server",
                "Address of the server",
                "Such as 192.0.2.1, or 192.0.2.1:5353.",
                "192.0.2.1",
            ),
            ZONE,
            field(
                "key",
                "Name of the key",
                "As the server knows it.",
                "webstead",
            ),
            Field {
                choices: &["hmac-sha256", "hmac-sha384", "hmac-sha512"],
                ..field("algorithm", "How it signs", "", "hmac-sha256")
            },
        ],
        token: "Secret of the key",
        token_hint: "In base64, as tsig-keygen shows it.",
    },
    Provider {
        id: "dyndns2",
        title: "Another one that speaks dyndns2 (addresses only, no proof through the DNS)",
        fields: &[
            field(
                "api",
                "Address of its interface",
                "Such as https://members.dyndns.org/nic/update.",
                "https://members.dyndns.org/nic/update",
            ),
            field("user", "User name", "Of your account there.", "ada"),
        ],
        token: "Password",
        token_hint: "Of your account there, or the one for updates.",
    },
];

impl Provider {
    /// The provider of this id.
    pub fn find(id: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.id == id)
    }

    /// The keys with what could be there, but for one of them.
    pub fn example(&self, but: Option<(&str, &str)>) -> String {
        self.keys(|field| match but {
            Some((key, value)) if key == field.key => value.to_owned(),
            _ => field.example.to_owned(),
        })
    }

    /// The keys that `[dns]` would have, as JSON.
    pub fn keys(&self, value_of: impl Fn(&Field) -> String) -> String {
        let mut table = Map::new();
        table.insert("provider".into(), self.id.into());
        for field in self.fields {
            table.insert(field.key.into(), value_of(field).into());
        }
        Value::Object(table).to_string()
    }
}

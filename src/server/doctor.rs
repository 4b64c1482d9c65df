//! The doctor of a running server: what it found last, and one look at a time.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::web::Data;

use super::certificates::Certificates;
use crate::{
    app::doctor::live::{LiveDoctor, Soon},
    base::{Diagnosis, Health, Place},
    edge::pipeline::Edge,
    net::{
        doctor::{self, OPEN_STATES, Patient, Running, UNREACHABLE_STATES, WayIn},
        probe,
    },
};

/// Looks when it is asked to, and keeps what it found.
pub(super) struct Doctor {
    data: PathBuf,
    edge: Data<Edge>,
    certificates: Arc<Certificates>,
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<Arc<Diagnosis>>>,
}

impl Doctor {
    /// Of the server that has its site in a folder.
    pub(super) fn new(data: PathBuf, edge: Data<Edge>, certificates: &Arc<Certificates>) -> Self {
        Self {
            data,
            edge,
            certificates: Arc::clone(certificates),
            turn: tokio::sync::Mutex::default(),
            last: Mutex::default(),
        }
    }

    fn patient(&self) -> Patient {
        let https = self.edge.https();
        Patient {
            data: self.data.clone(),
            names: (*self.certificates.names().now()).clone(),
            hosts: self.certificates.hosts(),
            certificate: self.certificates.settings(),
            dns: self.certificates.dns(),
            state: Running::Yes(https),
            way_in: Some(WayIn {
                https,
                is_announced: probe::is_announced(https, self.edge.trusted()),
                secret: self.edge.witness().secret().to_owned(),
            }),
            seen: Some(self.edge.seen()),
        }
    }

    async fn look(&self) {
        let Ok(_turn) = self.turn.try_lock() else {
            // Somebody looks already; what they find is what we want to know.
            drop(self.turn.lock().await);
            return;
        };
        let door = self.edge.front_door();
        let closings = door.closings();
        let diagnosis = Box::pin(doctor::examine(self.patient())).await;
        let is_one = |states: [&str; 2]| {
            let mut stations = diagnosis.stations.iter();
            stations.any(|station| states.contains(&station.state))
        };
        door.note_doctor(is_one(OPEN_STATES), closings);
        let is_unreachable = is_one(UNREACHABLE_STATES);
        let mut stations = diagnosis.stations.iter();
        // An address that was not told is no other one.
        let is_told = is_unreachable
            || stations.any(|one| one.place == Place::Address && one.health == Health::Well);
        door.note_unreachable(is_told.then_some(is_unreachable));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Arc::new(diagnosis));
    }
}

impl LiveDoctor for Doctor {
    fn last(&self) -> Option<Arc<Diagnosis>> {
        let last = self.last.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn examine(self: Arc<Self>) -> Soon<'static> {
        // Who asked may leave; what was begun is ended.
        let looking = actix_web::rt::spawn(async move { self.look().await });
        Box::pin(async move {
            if let Err(e) = looking.await {
                log::error!("the doctor ended with a panic: {e}");
            }
        })
    }
}

//! `webstead doctor`: the way from a visitor to the site, station by station. Works beside a running site or without
//! one, and changes nothing but
//! the doctor's own notes.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{Global, say};
use crate::{
    base::{Diagnosis, Error, Health, Result, international::in_text},
    config::Config,
    db::DataFolder,
    net::doctor::{self, Patient, Running, WayIn},
    server::{self, Counting},
};

/// How it is said.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Say it in JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Looks, and says; exits with 1 if something is wrong.
pub(super) fn run(args: &DoctorArgs, global: &Global) -> Result<ExitCode> {
    let patient = patient(global)?;
    let found = actix_web::rt::System::new().block_on(Box::pin(doctor::examine(patient)));
    let out = &mut say::Output::new();
    let told = if args.json {
        let text = serde_json::to_string_pretty(&found).map_err(Error::internal)?;
        writeln!(out, "{text}")
    } else {
        tell(out, &found)
    };
    told.map_err(Error::internal)?;
    Ok(if found.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn patient(global: &Global) -> Result<Patient> {
    let data = global.data_path();
    let config = Config::load(global.config.as_deref(), &data);
    let folder = DataFolder::open_existing(&data);
    let (running, started) = match &folder {
        Ok(folder) => (folder.running_server()?, server::running(folder)?),
        // A site that lost its database is what a doctor is for; a folder without any is not.
        Err(Error::Invalid(_) | Error::Damaged(_)) if data.join("server.lock").exists() => {
            (None, None)
        }
        Err(_) => return Err(folder.map_or_else(|e| e, |_| Error::NotFound)),
    };
    let state = match (&config, &running, &started) {
        (Err(e), ..) => Running::Unreadable(e.to_string()),
        (_, None, _) => Running::No,
        (_, Some(_), None) => Running::Starting,
        (_, Some(_), Some(started)) => Running::Yes(started.https_address),
    };
    let config = config.unwrap_or_default();
    // A database that cannot be read says no names; that it cannot is said by its own station.
    let stored = folder.and_then(|folder| Counting::of(&config, &folder));
    let Counting {
        config,
        names,
        hosts,
    } = stored.unwrap_or_else(|_| Counting {
        names: config.names(),
        hosts: config.hosts.names().map(str::to_owned).collect(),
        config,
    });
    Ok(Patient {
        names,
        hosts,
        certificate: config.certificate,
        dns: config.dns,
        state,
        way_in: started.map(|started| WayIn {
            https: started.https_address,
            is_announced: started.is_announced,
            secret: started.secret,
        }),
        seen: None,
        data,
    })
}

/// A line for each station, with what to do below it.
fn tell(out: &mut impl Write, found: &Diagnosis) -> io::Result<()> {
    for station in &found.stations {
        writeln!(
            out,
            "{}  {:<12} {}",
            mark(station.health),
            station.place.title(),
            in_text(&station.says)
        )?;
        if let Some(remedy) = &station.remedy {
            writeln!(out, "{:21}→ {}", "", in_text(remedy))?;
        }
    }
    if !found.further.is_empty() {
        writeln!(out, "\nFurther names:")?;
    }
    for further in &found.further {
        let station = &further.station;
        let says = in_text(&station.says);
        writeln!(out, "{}  {says}", mark(station.health))?;
        if let Some(remedy) = &station.remedy {
            writeln!(out, "{:8}→ {}", "", in_text(remedy))?;
        }
    }
    if found.further_left_out > 0 {
        writeln!(
            out,
            "       and {} more, not looked at",
            found.further_left_out
        )?;
    }
    match found.first_wrong() {
        Some(station) => {
            let title = station.place.title().to_lowercase();
            let first = found.first_wrong_name().map(in_text);
            writeln!(out, "\nBegin with this: {}.", first.unwrap_or(title.into()))
        }
        None => writeln!(out, "\n{}", in_text(&found.summary())),
    }
}

fn mark(health: Health) -> &'static str {
    match health {
        Health::Well => "  ok ",
        Health::Wrong => "WRONG",
        Health::Unknown => "  ?  ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Further, Place, Station, Timestamp};

    #[test]
    fn a_further_name_that_is_wrong_is_what_to_begin_with_and_as_people_write_it() {
        let name = "xn--bcher-kva.example";
        let says = format!("{name} does not exist.");
        let station = Station::wrong(Place::Name, "name-missing", says);
        let found = Diagnosis {
            at: Timestamp(0),
            took_ms: 1,
            name: None,
            stations: vec![Station::well(Place::Name, "name-well", "It leads here.")],
            further: vec![Further {
                name: name.into(),
                station: station.remedy(format!("Look at the spelling of {name}.")),
            }],
            further_left_out: 0,
        };
        let mut out = Vec::new();
        tell(&mut out, &found).unwrap();
        let text = String::from_utf8(out).unwrap();
        let written = format!("bücher.example ({name})");
        for line in [
            format!("WRONG  {written} does not exist."),
            format!("→ Look at the spelling of {written}."),
            format!("Begin with this: {written}."),
        ] {
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
}

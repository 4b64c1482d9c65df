//! Makes Webstead a service of this machine (systemd), and takes it away again.
//!
//! Nothing is done while it is planned: a [`Plan`] is a list of steps that can be shown or performed, so
//! what a dry run says is what is done.

mod copy_site;
mod installation;
mod machine;
mod plan;
mod removal;
mod replacement;
mod signature;
mod step;
mod units;

use std::{fs, path::Path};

pub use installation::{Choices, install};
pub use plan::Plan;
pub use removal::{Data, uninstall};
pub use replacement::{Staged, abandon, previous_of, sweep};
pub use signature::{Key, verify};
pub use step::{Step, await_answer};

/// Where the program is installed.
pub const PROGRAM: &str = "/usr/local/bin/webstead";
/// Where Debian's package puts the program.
pub const PACKAGED_PROGRAM: &str = "/usr/bin/webstead";
/// Where Debian's package keeps the program before, while its own was not fit to take over.
pub const KEPT_PROGRAM: &str = "/usr/lib/webstead/webstead-before";
/// The data folder of the service (`StateDirectory=`).
pub const DATA: &str = "/var/lib/webstead";

/// The service's data folder, if this is the service's program.
///
/// Whether the folder is there does not matter: where a disk is not mounted, no other site is meant.
pub fn data_of_installed_program() -> Option<&'static Path> {
    let program = std::env::current_exe().ok()?;
    let has_unit = || Path::new(units::FOLDER).join(units::SERVICE).exists();
    let is_of_service = program == Path::new(PACKAGED_PROGRAM)
        || (program == Path::new(PROGRAM) && (has_unit() || fs::symlink_metadata(DATA).is_ok()));
    is_of_service.then_some(Path::new(DATA))
}

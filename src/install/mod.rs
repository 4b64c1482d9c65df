//! Makes Webstead a service of this machine (systemd), and takes it away again.
//!
//! Nothing is done while it is planned: a [`Plan`] is a list of steps that can be shown or performed, so
//! what a dry run says is what is done.

mod copy_site;
mod installation;
mod machine;
mod plan;
mod removal;
mod step;
mod units;

use std::path::Path;

pub use installation::{Choices, install};
pub use plan::Plan;
pub use removal::{Data, uninstall};
pub use step::Step;

/// Where the program is installed.
pub const PROGRAM: &str = "/usr/local/bin/webstead";
/// Where Debian's package puts the program.
const PACKAGED_PROGRAM: &str = "/usr/bin/webstead";
/// The data folder of the service (`StateDirectory=`).
pub const DATA: &str = "/var/lib/webstead";

/// The service's data folder, if this is the installed program and there is one.
pub fn data_of_installed_program() -> Option<&'static Path> {
    let program = std::env::current_exe().ok()?;
    let is_installed = [PROGRAM, PACKAGED_PROGRAM]
        .iter()
        .any(|path| program == Path::new(path));
    let data = Path::new(DATA);
    (is_installed && data.is_dir()).then_some(data)
}

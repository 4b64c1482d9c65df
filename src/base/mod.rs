//! What everything may use: the error, ids, time, whole files, and what limits need, the names of the site, secrets, what was written, how much room there is, how it stands with the way to it, what looking at something has shown, words of others in one line, other programs, names as people write them, mistakes in settings, paths as people type them. Imports nothing of ours.

pub mod child;
pub mod diagnosis;
pub mod error;
pub mod files;
pub mod id;
pub mod international;
pub mod limited;
pub mod minisign;
pub mod mistakes;
pub mod network;
pub mod paths;
pub mod request_id;
pub mod scratch;
pub mod secrets;
pub mod shares;
pub mod site_names;
pub mod size;
pub mod space;
pub mod time;
pub mod verdict;
pub mod words;
pub mod written;

pub use diagnosis::{Diagnosis, Further, Health, Place, Station};
pub use error::{Error, Result};
pub use id::Id;
pub use limited::{LimitKind, Limited};
pub use network::{is_global, is_shared, network_name, network_of};
pub use request_id::{RequestId, RequestIds};
pub use shares::{Share, Shares};
pub use site_names::{Names, SiteNames};
pub use size::size_text;
pub use space::Space;
pub use time::Timestamp;
pub use verdict::Verdict;
pub use words::one_line;

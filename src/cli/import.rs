//! `webstead import`: a folder of Markdown files becomes posts. Works while the site is running.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Global, progress::Bar, say};
use crate::{
    app::transfer::{plan::Plan, report::Report},
    base::{Error, Result, written},
    config::Config,
    db::{DataFolder, Database, MediaStore},
};

/// Everything is in, but some files were left out; the report names them.
const SOME_LEFT_OUT: u8 = 3;

/// What to import, and how.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 everything is in; 3 some files were left out, and the report \
    names them; 1 an error, and nothing came in. It can be repeated: what has not changed stays as it is."
)]
#[allow(clippy::struct_excessive_bools)] // five switches of the command line
pub(super) struct ImportArgs {
    /// The folder: Markdown files, or a site of Zola, Hugo or Jekyll
    #[arg(value_parser = super::typed_path())]
    dir: PathBuf,

    /// Only say what would come in; write nothing
    #[arg(long)]
    dry_run: bool,

    /// Let the folder win: files replace posts that were edited on the site, and posts from
    /// elsewhere that have their address
    #[arg(long)]
    replace: bool,

    /// Import nothing if any file would be left out
    #[arg(long)]
    strict: bool,

    /// Name every place in the report, not only the first few of a kind
    #[arg(long)]
    verbose: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Plans, applies and reports.
pub(super) fn run(args: &ImportArgs, global: &Global) -> Result<ExitCode> {
    if !args.dir.is_dir() {
        return Err(Error::Invalid(format!(
            "{} is not a folder that can be read",
            args.dir.display()
        )));
    }
    // A dry run makes no data folder either: where there is no site, it compares with an empty one.
    let data = global.data_path();
    let is_only_tried = args.dry_run && !data.exists();
    let scratch = tempfile::tempdir().map_err(|e| Error::io("making", std::env::temp_dir(), e))?;
    let folder = DataFolder::open_or_create(if is_only_tried { scratch.path() } else { &data })?;
    if !data.join("site.db").exists() {
        // Nobody who has mistyped the folder's name is to look for the posts elsewhere.
        warn_of!(
            "There is no site in {}: {}",
            data.display(),
            if args.dry_run {
                "this is what would come into a new one."
            } else {
                "a new one is made there. If you meant another one, name its data folder with --data DIR."
            }
        );
    }
    let database = Database::open(&folder.database())?;
    if let Ok(config) = Config::load(global.config.as_deref(), folder.root()) {
        database.limit_log(config.backup.most_log_bytes());
    }
    let bar = Bar::new();
    let progress = |doing: &str, done: usize, total: usize| bar.show(doing, done, total);
    let mut plan = Plan::read(&database, &args.dir, args.replace, &progress)?;
    plan.report.is_dry_run = args.dry_run;
    let refused = args.strict && !plan.report.left_out.is_empty();
    let report = if args.dry_run || refused {
        plan.report.is_dry_run = true;
        plan.report
    } else {
        plan.apply(&database, &MediaStore::new(&folder), &progress)?
    };
    drop(bar);
    database.close();
    written::leave(folder.root(), &BTreeMap::new());
    print(&report, args)?;
    if refused {
        return Err(Error::Invalid(
            "some files would be left out, and --strict was given, so nothing came in".into(),
        ));
    }
    Ok(if report.left_out.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(SOME_LEFT_OUT)
    })
}

fn print(report: &Report, args: &ImportArgs) -> Result<()> {
    if args.json {
        let text = serde_json::to_string_pretty(report).map_err(Error::internal)?;
        say::raw(format_args!("{text}\n"));
    } else {
        say::text(format_args!("{}", report.to_text(args.verbose)));
    }
    Ok(())
}

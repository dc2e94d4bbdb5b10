//! The plugin on a node: its file among the plugins, and its place in every network configuration. One pass puts right
//! whatever is not; passes are repeated, because other plugins write their configurations whenever they like.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::conflist::{ConfigurationError, Outcome, PLUGIN, chain, unchain};

/// Where a node keeps plugins and configurations, as this process sees it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Plugins: `/opt/cni/bin`.
    pub bin_dir: PathBuf,
    /// Configurations: `/etc/cni/net.d`.
    pub net_dir: PathBuf,
    /// What the runtime's library remembers: `/var/lib/cni`.
    pub cache_dir: PathBuf,
}

/// A step of a pass that was made or could not be.
#[derive(Debug)]
pub enum Step {
    /// The plugin's file was written.
    Plugin,
    /// The plugin was chained in this file.
    Chained(PathBuf),
    /// The plugin was taken out of this file.
    Unchained(PathBuf),
    /// A file was left as it is.
    Left(PathBuf, InstallError),
}

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The file system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its content.
    #[error("{0}")]
    Configuration(#[from] ConfigurationError),
}

/// What a pass should achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The plugin is there and chained.
    Installed,
    /// It is neither.
    Removed,
}

/// Whether the plugin is in place and chained in at least one configuration.
pub fn stands(node: &Node) -> bool {
    let files = configurations(&node.net_dir).unwrap_or_default();
    let is_chained =
        |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| chain(&text) == Ok(Outcome::Kept));
    node.bin_dir.join(PLUGIN).exists() && files.iter().any(is_chained)
}

/// One pass. `program` is the plugin's file to be.
///
/// # Errors
/// The directories cannot be read or the plugin not written; single configurations that are wrong are steps.
pub fn pass(node: &Node, program: &Path, goal: Goal) -> Result<Vec<Step>, InstallError> {
    let mut steps = Vec::new();
    // The plugin comes first and goes last: a configuration never names a file that is not there.
    if goal == Goal::Installed && place(program, &node.bin_dir.join(PLUGIN))? {
        steps.push(Step::Plugin);
    }
    for path in configurations(&node.net_dir)? {
        match turn(&path, goal) {
            Ok(None) => {}
            Ok(Some(step)) => steps.push(step),
            Err(error) => steps.push(Step::Left(path, error)),
        }
    }
    if goal == Goal::Removed {
        match fs::remove_file(node.bin_dir.join(PLUGIN)) {
            Ok(()) => steps.push(Step::Plugin),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(steps)
}

/// The files that a runtime reads, in the order in which it does.
fn configurations(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?.flatten().map(|file| file.path()).collect();
    files.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let known =
            path.extension().is_some_and(|kind| kind == "conflist" || kind == "conf" || kind == "json");
        known && !hidden && path.is_file()
    });
    files.sort();
    Ok(files)
}

fn turn(path: &Path, goal: Goal) -> Result<Option<Step>, InstallError> {
    let text = fs::read_to_string(path)?;
    let outcome = match goal {
        Goal::Installed => chain(&text)?,
        Goal::Removed => unchain(&text)?,
    };
    match outcome {
        Outcome::Kept => Ok(None),
        Outcome::Rewritten(text) => {
            replace(path, text.as_bytes(), 0o600)?;
            Ok(Some(match goal {
                Goal::Installed => Step::Chained(path.to_owned()),
                Goal::Removed => Step::Unchained(path.to_owned()),
            }))
        }
        Outcome::Listed(text) => {
            let list = path.with_extension("conflist");
            replace(&list, text.as_bytes(), 0o600)?;
            fs::remove_file(path)?;
            Ok(Some(Step::Chained(list)))
        }
    }
}

/// Puts a copy of `from` at `to`, unless it is there already.
fn place(from: &Path, to: &Path) -> Result<bool, InstallError> {
    let wanted = fs::read(from)?;
    if fs::read(to).is_ok_and(|found| found == wanted) {
        return Ok(false);
    }
    replace(to, &wanted, 0o755)?;
    Ok(true)
}

/// Writes a file so that nobody sees half of it, with the mode of the one that it replaces.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mode = fs::metadata(path).map_or(mode, |found| found.permissions().mode());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Runtimes read no file of a hidden name.
    let draft = path.with_file_name(format!(".{name}.hauberk"));
    fs::write(&draft, bytes)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(mode))?;
    fs::File::open(&draft)?.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(Node, PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("hauberk-cni-{name}-{}", std::process::id()));
            let node = Node {
                bin_dir: root.join("bin"),
                net_dir: root.join("net.d"),
                cache_dir: root.join("cache"),
            };
            fs::create_dir_all(&node.bin_dir).unwrap();
            fs::create_dir_all(&node.net_dir).unwrap();
            fs::write(root.join("program"), "first").unwrap();
            Self(node, root)
        }

        fn pass(&self, goal: Goal) -> Vec<Step> {
            pass(&self.0, &self.1.join("program"), goal).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.1);
        }
    }

    const LIST: &str = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"}]}"#;

    #[test]
    fn passes_put_right_what_is_not_and_touch_nothing_else() {
        let scratch = Scratch::new("pass");
        let net = &scratch.0.net_dir;
        assert!(!stands(&scratch.0));
        fs::write(net.join("10-a.conflist"), LIST).unwrap();
        fs::write(net.join("20-b.conf"), r#"{"name":"n","type":"ptp"}"#).unwrap();
        fs::write(net.join("99-notes.txt"), "x").unwrap();
        assert_eq!(scratch.pass(Goal::Installed).len(), 3);
        assert!(stands(&scratch.0) && net.join("20-b.conflist").exists() && !net.join("20-b.conf").exists());
        assert!(scratch.pass(Goal::Installed).is_empty());
        // Another plugin writes its configuration anew; a new release brings another program.
        fs::write(net.join("10-a.conflist"), LIST).unwrap();
        fs::write(scratch.1.join("program"), "second").unwrap();
        assert_eq!(scratch.pass(Goal::Installed).len(), 2);
        assert_eq!(fs::read_to_string(scratch.0.bin_dir.join(PLUGIN)).unwrap(), "second");
        assert!(
            fs::read_dir(net)
                .unwrap()
                .flatten()
                .all(|file| !file.file_name().to_string_lossy().starts_with('.'))
        );
    }

    #[test]
    fn removal_leaves_no_configuration_that_names_the_plugin() {
        let scratch = Scratch::new("remove");
        fs::write(scratch.0.net_dir.join("10-a.conflist"), LIST).unwrap();
        scratch.pass(Goal::Installed);
        scratch.pass(Goal::Removed);
        assert!(!fs::read_to_string(scratch.0.net_dir.join("10-a.conflist")).unwrap().contains(PLUGIN));
        assert!(!scratch.0.bin_dir.join(PLUGIN).exists());
        assert!(scratch.pass(Goal::Removed).is_empty());
    }

    #[test]
    fn a_file_that_is_wrong_is_left_as_it_is_and_named() {
        let scratch = Scratch::new("wrong");
        fs::write(scratch.0.net_dir.join("10-a.conflist"), "{").unwrap();
        let steps = scratch.pass(Goal::Installed);
        assert!(steps.iter().any(|step| matches!(step, Step::Left(..))), "{steps:?}");
        assert_eq!(fs::read_to_string(scratch.0.net_dir.join("10-a.conflist")).unwrap(), "{");
    }
}

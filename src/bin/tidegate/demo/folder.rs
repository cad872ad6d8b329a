//! The temporary folder of a demonstration. It goes with its process; what a kill -9 left behind goes with the next one.

use crate::failure::Failure;
use std::path::Path;
use tempfile::TempDir;

const PREFIX: &str = "tidegate-demo-";

pub fn create() -> Result<TempDir, Failure> {
    let parent = std::env::temp_dir();
    remove_orphans(&parent);
    let cannot = |e| Failure::failed(format!("{}: {e}; set TMPDIR to a folder with room", parent.display()));
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir_in(&parent).map_err(cannot)
}

/// Removes the folders of demonstrations whose process is gone.
fn remove_orphans(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        let Some(owner) = owner.and_then(|(pid, _)| pid.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{owner}")).exists() {
            // Somebody else's: then it is not ours to remove.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_go_and_those_of_the_living_and_of_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let living = format!("{PREFIX}{}-x", std::process::id());
        // Above the largest process id that Linux gives.
        for name in ["tidegate-demo-4194305-x", &living, "tidegate-demo-notes", "other-4194305-x"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        remove_orphans(parent.path());
        let left = |name: &str| parent.path().join(name).exists();
        assert!(!left("tidegate-demo-4194305-x"));
        assert!(left(&living) && left("tidegate-demo-notes") && left("other-4194305-x"));
    }
}

//! The simulated disk keeps and loses what its contract says.

use std::io;
use std::path::Path;

use bellwether_tsdb::Files as _;

use crate::disk::{Disk, Lie};

const DIR: &str = "/data";

fn disk(seed: u64) -> Disk {
    let disk = Disk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// A file with a synced and an unsynced part, its entry synced or not.
fn write(disk: &Disk, name: &str, with_entry: bool) -> io::Result<()> {
    let mut file = disk.create(&Path::new(DIR).join(name))?;
    file.append(&[1; 1000])?;
    file.sync()?;
    if with_entry {
        disk.sync_dir(Path::new(DIR))?;
    }
    file.append(&[2; 2000])
}

#[test]
fn a_power_cut_keeps_what_is_synced_and_may_lose_the_rest() {
    let (mut torn, mut whole, mut no_entry) = (0, 0, 0);
    for seed in 0..200 {
        let disk = disk(seed);
        write(&disk, "synced", true).unwrap();
        disk.create_dir_all(&Path::new(DIR).join("sub")).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        write(&disk, "no-entry", false).unwrap();
        disk.cut_power();
        let bytes = disk.read(&Path::new(DIR).join("synced")).unwrap();
        assert_eq!(bytes[..1000], [1; 1000]);
        let rest = &bytes[1000..];
        assert!(rest.iter().all(|b| [0, 2].contains(b)));
        if rest.len() == 2000 && rest.iter().all(|b| *b == 2) {
            whole += 1;
        } else {
            torn += 1;
        }
        no_entry += u32::from(!disk.exists(&Path::new(DIR).join("no-entry")).unwrap());
    }
    assert!(
        torn > 20 && whole > 5 && no_entry > 20,
        "{torn} {whole} {no_entry}"
    );
}

#[test]
fn a_killed_process_leaves_everything_that_was_done() {
    let disk = disk(1);
    disk.kill_after(3);
    let error = write(&disk, "a", true).and_then(|()| write(&disk, "b", true));
    assert!(error.is_err() && disk.is_dead());
    assert!(disk.list(Path::new(DIR)).is_err());
    disk.new_process();
    assert_eq!(
        disk.read(&Path::new(DIR).join("a")).unwrap()[..1000],
        [1; 1000]
    );
    assert!(!disk.exists(&Path::new(DIR).join("b")).unwrap());
}

#[test]
fn a_failed_sync_may_lose_its_content_for_good() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = disk(seed);
        let path = Path::new(DIR).join("a");
        let mut file = disk.create(&path).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        file.append(&[1; 1000]).unwrap();
        disk.set_error_rate(1000);
        assert!(file.sync().is_err());
        disk.set_error_rate(0);
        assert_eq!(disk.failed_syncs(), 1);
        file.sync().unwrap();
        disk.cut_power();
        lost += u32::from(disk.read(&path).unwrap() != [1; 1000]);
    }
    assert!(lost > 20 && lost < 80, "{lost}");
}

#[test]
fn a_lying_disk_reports_syncs_that_it_does_not_do() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = disk(seed);
        disk.set_liar(|lie, path| lie == Lie::SyncDir && path == Path::new(DIR));
        write(&disk, "a", true).unwrap();
        disk.cut_power();
        lost += u32::from(!disk.exists(&Path::new(DIR).join("a")).unwrap());
    }
    assert!(lost > 10, "{lost}");
}

//! The disk fails, the process is killed, the power goes; and the database opens again.

use std::path::Path;

use bellwether_tsdb::{Db, WalSync};

use super::{DATA, World, read};
use crate::disk::PLENTY;
use crate::model::{Durability, Outcome};

impl World {
    fn durability(&self) -> Durability {
        Durability {
            every_commit: self.options.wal_sync == WalSync::Commit,
            segment: self.synced.min(self.doubt.unwrap_or(i64::MAX)),
            blocks_until: self.blocks_until,
        }
    }

    /// The process is gone; maybe the machine with it. True for a power cut.
    pub(super) fn crash(&mut self) -> bool {
        self.db = None;
        if self.dangers.power_cuts && self.random.below(2) == 0 {
            self.tell(|| format!("power cut: {:?}", self.durability()));
            self.model.power_cut(self.durability());
            self.disk.cut_power();
            self.doubt = None;
            return true;
        }
        self.tell(|| "killed".to_owned());
        self.model.killed();
        self.disk.new_process();
        false
    }

    pub(crate) fn restart(&mut self) {
        let clean = self.random.below(2) == 0;
        self.tell(|| format!("restart, clean: {clean}"));
        if clean {
            let done = self.db().close();
            let outcome = self.outcome(done.is_ok());
            if let Outcome::Done(_) = outcome {
                // A clean stop syncs the log.
                self.synced = self.segment + 1;
            }
        }
        let power_cut = self.crash();
        self.open(power_cut);
    }

    /// Opens the directory, through failures, kills and power cuts.
    pub(super) fn open(&mut self, mut power_cut: bool) {
        let mut attempt = 0;
        loop {
            // What a failed sync forgets cannot be known by another process.
            self.disk.set_forgetful(false);
            self.faulty = false;
            self.begin_faults(if attempt == 0 { 8 } else { 2 });
            let opened = Db::open(Path::new(DATA), self.options.clone());
            self.end_faults();
            self.disk.set_forgetful(true);
            self.failed_syncs = self.disk.failed_syncs();
            self.tell(|| format!("open: {:?}", opened.as_ref().map(|db| db.stats())));
            match opened {
                // A block that could not be read for a moment is there again in the next life.
                Ok(db) if !self.disk.is_dead() && db.stats().blocks_unreadable == 0 => {
                    if self.dangers.stale {
                        db.set_stale_series_compaction_threshold(0.1);
                    }
                    self.db = Some(db);
                    break;
                }
                Ok(_) => assert!(self.faulty, "a block does not open"),
                Err(e) => assert!(self.faulty, "the directory does not open: {e}"),
            }
            power_cut |= self.crash();
            attempt += 1;
            assert!(attempt < 1000, "the directory never opens");
        }
        self.faulty = false;
        self.observe();
        let got = read(&self.db(), i64::MIN, i64::MAX).unwrap();
        self.model.check(&got, i64::MIN, i64::MAX);
        self.model.resolve(&got, power_cut);
        if self.dangers.stale {
            self.model.forget_newest();
        }
        crate::invariants::check(&self.disk, &self.db());
        crate::invariants::check_restarted(&self.disk);
    }

    /// One time in `odds`, lets the disk fail from now on.
    pub(super) fn begin_faults(&mut self, odds: u64) {
        if self.random.below(odds) != 0 {
            return;
        }
        match self.random.below(4) {
            0 if self.dangers.errors => {
                let free = self.random.below(3000) as i64 - 100;
                self.disk.set_free(free);
            }
            1 if self.dangers.errors => {
                let rate = 1 << self.random.below(9);
                self.disk.set_error_rate(rate);
            }
            2.. if self.dangers.kills => {
                let operations = 1 << self.random.below(8);
                let operations = self.random.below(operations) + 1;
                self.disk.kill_after(operations);
            }
            _ => return,
        }
        self.tell(|| "faults begin".to_owned());
        self.faulty = true;
    }

    pub(super) fn end_faults(&mut self) {
        self.disk.set_free(PLENTY);
        self.disk.set_error_rate(0);
        if !self.disk.is_dead() {
            self.disk.cancel_kill();
        }
    }

    /// Stops without a word and hands over the options for the next start.
    pub(crate) fn stop(&mut self) {
        self.db = None;
        self.model.killed();
        self.disk.new_process();
    }
}

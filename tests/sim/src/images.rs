//! Images: disks that are kept as they are at a moment, and what is done with them later.
//!
//! A machine is copied, running or stopped, and both lives go on under one key; a store is rolled
//! back to what it was; a copy is copied again. Some copies can be told by where they lie, others,
//! machines that are cloned or rolled back whole, only by proof.

use littoral::store::disk::MemDisk;

use crate::Checked;
use crate::chance::Chance;
use crate::follower::Follower;
use crate::machine::Down;
use crate::world::{Event, World};

/// Images kept at a time.
const MOST_IMAGES: usize = 3;
/// Replicas of one schedule at most, copies and those that are gone included.
const MOST_REPLICAS: usize = 9;

/// A disk as it was, and what else was kept with it.
pub(crate) struct Image {
    disk: MemDisk,
    /// Of which machine.
    of: usize,
    /// The number of its account in the ledger.
    account: usize,
    follower: Option<Follower>,
}

impl World {
    /// Keeps a machine's disk as it is at this moment.
    pub(crate) fn keep_image(&mut self, at: usize, chance: &mut Chance) {
        let image = self.image(at, chance);
        if self.images.len() == MOST_IMAGES {
            self.images.remove(chance.below(MOST_IMAGES));
        }
        self.say(&format!("an image of {at} is kept"));
        self.images.push(image);
    }

    fn image(&mut self, at: usize, chance: &mut Chance) -> Image {
        let disk = &self.machines[at].disk;
        // What was not synced may be in it or not, as after a loss of power.
        let disk = match chance.below(3) {
            0 => disk.power_cut_all_lost(),
            _ => disk.power_cut(chance.next()),
        };
        let follower = self.machines[at].follower.clone();
        let account = self.ledger.keep(at, self.machines[at].id());
        Image { disk, of: at, account, follower }
    }

    /// A machine is rolled back to an image of it, or of another life of its store.
    pub(crate) fn roll_back(&mut self, chance: &mut Chance) -> Checked {
        if self.images.is_empty() {
            return Ok(());
        }
        let image = &self.images[chance.below(self.images.len())];
        let (at, account, follower) = (image.of, image.account, image.follower.clone());
        let disk = placed(&image.disk, chance);
        if self.machines[at].gone {
            return Ok(());
        }
        self.go_down(at, Down::CutAllLost)?;
        self.say(&format!("{at} is rolled back"));
        self.copies += 1;
        self.forget_under_way(at);
        self.ledger.put_back(at, account);
        self.machines[at].disk = disk;
        self.machines[at].follower = follower;
        self.machines[at].restarting = true;
        self.readings.remove(&at);
        let delay = *chance.pick(&[0, 10, 2_000, 30_000]);
        self.schedule(delay, Event::Restart(at, Down::Closed));
        Ok(())
    }

    /// A machine is copied as it is, or as it was: both go on.
    pub(crate) fn copy_machine(&mut self, at: usize, chance: &mut Chance) -> Checked {
        if self.machines.len() >= MOST_REPLICAS {
            return Ok(());
        }
        let image = match self.images.is_empty() || chance.percent(60) {
            true => self.image(at, chance),
            false => {
                let index = chance.below(self.images.len());
                self.images.remove(index)
            }
        };
        let (of, number) = (image.of, self.machines.len());
        self.say(&format!("{number} is a copy of {of}"));
        self.copies += 1;
        let disk = placed(&image.disk, chance);
        let mut twin = self.machines[of].twin(number, &self.plan, disk);
        twin.follower = image.follower;
        self.machines.push(twin);
        self.ledger.put_back(number, image.account);
        self.boot(number)?;
        self.meet_others(number);
        Ok(())
    }
}

/// A copy of an image: in the machine where it was, as far as can be told, or in another one.
fn placed(image: &MemDisk, chance: &mut Chance) -> MemDisk {
    match chance.percent(30) {
        true => image.copy(),
        false => image.power_cut_all_lost(),
    }
}

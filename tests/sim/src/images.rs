//! Images: disks that are kept as they are at a moment, and what is done with them later.
//!
//! A store is rolled back to what it was, as by a backup or a snapshot of its machine; or a machine
//! is copied, running or stopped, and both lives go on under one key; a copy is copied again. Some
//! copies find by where they lie that they are copies. Others can't: machines that are cloned or
//! rolled back whole, and those of which somebody says that they were only moved. They learn it
//! when they meet what their other life has written.

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
    leaving: bool,
}

impl World {
    /// In a schedule with copies, from time to time something is kept, rolled back or copied.
    pub(crate) fn perhaps_copy(&mut self, number: usize) -> Checked {
        let mut chance = self.plan.copies_of(number);
        if !chance.percent(self.plan.copy_percent) {
            return Ok(());
        }
        let at = chance.below(self.machines.len());
        if self.machines[at].gone {
            return Ok(());
        }
        match chance.below(4) {
            0 | 1 => {
                self.keep_image(at, &mut chance);
                Ok(())
            }
            2 => self.roll_back(&mut chance),
            _ => self.copy_machine(at, &mut chance),
        }
    }

    /// Keeps a machine's disk as it is at this moment.
    fn keep_image(&mut self, at: usize, chance: &mut Chance) {
        let image = self.image(at, chance);
        if self.images.len() == MOST_IMAGES {
            self.images.remove(chance.below(MOST_IMAGES));
        }
        self.say(&format!("an image of {at} is kept"));
        self.images.push(image);
    }

    fn image(&mut self, at: usize, chance: &mut Chance) -> Image {
        let machine = &self.machines[at];
        // What was not synced may be in it or not, as after a loss of power.
        let disk = match chance.below(3) {
            0 => machine.disk.power_cut_all_lost(),
            _ => machine.disk.power_cut(chance.next()),
        };
        let (follower, leaving) = (machine.follower.clone(), machine.leaving);
        Image { disk, of: at, account: self.ledger.keep(at, machine.id()), follower, leaving }
    }

    /// A machine is rolled back to an image of it.
    fn roll_back(&mut self, chance: &mut Chance) -> Checked {
        if self.images.is_empty() {
            return Ok(());
        }
        let index = chance.below(self.images.len());
        let at = self.images[index].of;
        if self.machines[at].gone {
            return Ok(());
        }
        self.go_down(at, Down::CutAllLost)?;
        let image = &self.images[index];
        let (disk, moved) = placed(&image.disk, chance);
        let (account, follower, leaving) = (image.account, image.follower.clone(), image.leaving);
        self.say(&format!("{at} is rolled back"));
        self.rolled_back += 1;
        self.ledger.put_back(at, account);
        self.machines[at].marks.forget();
        let machine = &mut self.machines[at];
        (machine.disk, machine.follower, machine.leaving) = (disk, follower, leaving);
        (machine.moved, machine.restarting) = (moved, true);
        self.readings.remove(&at);
        let delay = *chance.pick(&[0, 10, 2_000, 30_000]);
        self.schedule(delay, Event::Restart(at, Down::Closed));
        Ok(())
    }

    /// A machine is copied as it is, or as it was: both go on.
    fn copy_machine(&mut self, at: usize, chance: &mut Chance) -> Checked {
        if self.machines.len() >= MOST_REPLICAS {
            return Ok(());
        }
        let image = match self.images.is_empty() || chance.percent(60) {
            true => self.image(at, chance),
            false => self.images.remove(chance.below(self.images.len())),
        };
        let (of, number) = (image.of, self.machines.len());
        let (disk, moved) = placed(&image.disk, chance);
        self.say(&format!("{number} is a copy of {of}"));
        self.copied += 1;
        let mut twin = self.machines[of].twin(number, &self.plan, disk);
        (twin.follower, twin.leaving, twin.moved) = (image.follower, image.leaving, moved);
        self.machines.push(twin);
        self.ledger.put_back(number, image.account);
        self.boot(number)?;
        self.meet_others(number);
        Ok(())
    }
}

/// A copy of an image, and whether its owner says that it was only moved: where it was, as far as
/// can be told, or in another machine.
fn placed(image: &MemDisk, chance: &mut Chance) -> (MemDisk, bool) {
    match chance.below(6) {
        0 | 1 => (image.copy(), false),
        2 => (image.copy(), true),
        _ => (image.power_cut_all_lost(), false),
    }
}

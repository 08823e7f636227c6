//! What a primary says to a replica behind a dump that ends with a mark: nothing, before the replica has said that it has the dump, for
//! Redis looks for the mark at the end of what it reads.

/// What stands before the mark.
const BEFORE_MARK: &[u8] = b"$EOF:";
const MARK_BYTES: usize = 40;
const LINE_END_BYTES: usize = 2;
/// What a replica says of how far it is.
const ACK: &[u8] = b"ACK";

/// One connection, as somebody sees it who reads along.
#[derive(Default)]
pub struct Watch {
    mark: Option<Vec<u8>>,
    /// The last bytes of the primary, which may be a part of what is looked for.
    told: Vec<u8>,
    /// As well of the replica.
    answered: Vec<u8>,
    is_whole: bool,
    is_acked: bool,
}

impl Watch {
    /// The primary says this.
    ///
    /// # Errors
    ///
    /// It should have waited.
    pub fn tells(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.is_acked {
            return Ok(());
        }
        self.told.extend_from_slice(bytes);
        if self.mark.is_none() {
            let Some(at) = find(&self.told, BEFORE_MARK) else {
                keep_last(&mut self.told, BEFORE_MARK.len() - 1);
                return Ok(());
            };
            let (from, to) = (at + BEFORE_MARK.len(), at + BEFORE_MARK.len() + MARK_BYTES);
            if self.told.len() < to + LINE_END_BYTES {
                return Ok(());
            }
            self.mark = Some(self.told[from..to].to_vec());
            self.told.drain(..to + LINE_END_BYTES);
        }
        let mark = self.mark.as_deref().expect("it was found");
        if !self.is_whole {
            let Some(at) = find(&self.told, mark) else {
                keep_last(&mut self.told, MARK_BYTES - 1);
                return Ok(());
            };
            self.is_whole = true;
            self.told.drain(..at + MARK_BYTES);
        }
        match self.told.is_empty() {
            true => Ok(()),
            false => Err(format!("behind a dump comes {}", self.told.escape_ascii())),
        }
    }

    /// The primary hears this of the replica.
    pub fn hears(&mut self, bytes: &[u8]) {
        if self.is_whole && !self.is_acked {
            self.answered.extend_from_slice(bytes);
            self.is_acked = find(&self.answered, ACK).is_some();
            keep_last(&mut self.answered, ACK.len() - 1);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn keep_last(bytes: &mut Vec<u8>, count: usize) {
    bytes.drain(..bytes.len().saturating_sub(count));
}

//! Libraries of functions as FUNCTION DUMP writes them and FUNCTION RESTORE reads them: their texts.

use super::encode::{Options, Writer};
use super::file::opcode::{FUNCTION_2, FUNCTION_PRE_GA};
use super::read::Reader;
use super::{seal, unseal};

/// The version of the format that has libraries.
const VERSION: u16 = 10;

/// A payload of the texts of libraries.
pub fn encode_functions<'a>(codes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    for code in codes {
        payload.push(FUNCTION_2);
        Writer::new(&mut payload, Options { compress: true }).text(code);
    }
    seal(&mut payload, VERSION);
    payload
}

/// The texts in a payload.
///
/// # Errors
///
/// What is wrong with it, as an error reply.
pub fn decode_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let (body, _) = unseal(payload).ok_or("ERR DUMP payload version or checksum are wrong")?;
    let mut reader = Reader::new(body);
    let mut codes = Vec::new();
    while reader.left() > 0 {
        match reader.byte() {
            Ok(FUNCTION_2) => {}
            Ok(FUNCTION_PRE_GA) => return Err("ERR Pre-GA function format not supported"),
            _ => return Err("ERR given type is not a function"),
        }
        codes.push(reader.text().map_err(|_| "ERR Failed loading library data")?.to_vec());
    }
    Ok(codes)
}

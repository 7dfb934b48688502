//! The callers of a token file, by the SHA-256 of their token. The file is read once.

use std::{collections::HashMap, fmt::Write, fs, io};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub struct Caller {
    pub project: String,
    pub may_report: bool,
    expires_at: Option<OffsetDateTime>,
}

pub struct Tokens(HashMap<[u8; 32], Caller>);

#[derive(Deserialize)]
struct Line {
    sha256: String,
    project: String,
    roles: Vec<String>,
    expires_at: Option<String>,
}

impl Tokens {
    pub fn read(path: &str) -> io::Result<Self> {
        let mut found = HashMap::new();
        for (index, text) in fs::read_to_string(path)?.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (digest, caller) = parse_line(text).ok_or_else(|| {
                let mut message = String::new();
                let _ = write!(message, "{path}, line {}: not a token: write it with `taskstream token`", index + 1);
                io::Error::other(message)
            })?;
            found.insert(digest, caller);
        }
        Ok(Self(found))
    }

    /// The caller; none for a token that is empty, unknown or expired.
    pub fn caller(&self, token: &[u8], now: OffsetDateTime) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.get(&digest).filter(|caller| !token.is_empty() && caller.expires_at.is_none_or(|end| now < end))
    }
}

fn parse_line(text: &str) -> Option<([u8; 32], Caller)> {
    let line: Line = serde_json::from_str(text).ok()?;
    let mut digest = [0; 32];
    if line.sha256.len() != 2 * digest.len() {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(line.sha256.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    let expires_at = match line.expires_at {
        Some(text) => Some(OffsetDateTime::parse(&text, &Rfc3339).ok()?),
        None => None,
    };
    let may_report = line.roles.iter().any(|role| role == "report");
    Some((digest, Caller { project: line.project, may_report, expires_at }))
}

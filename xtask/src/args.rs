//! The arguments of one verb, taken out one by one; what nobody took is a mistake.

use crate::{Failure, Result};

/// Arguments that are not yet understood.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Args(words.into_iter().collect())
    }

    pub(crate) fn wants_help(&self) -> bool {
        self.0.iter().any(|word| word == "--help" || word == "-h")
    }

    /// Takes `name` out and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// Takes `name VALUE` or `name=VALUE` out.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let prefix = format!("{name}=");
        let Some(at) = self.0.iter().position(|word| word == name || word.starts_with(&prefix)) else {
            return Ok(None);
        };
        let word = self.0.remove(at);
        if let Some(value) = word.strip_prefix(&prefix) {
            return Ok(Some(value.into()));
        }
        if at == self.0.len() {
            return Err(Failure::Usage(format!("{name} wants a value")));
        }
        Ok(Some(self.0.remove(at)))
    }

    /// Takes the words that are no options, at most `most` of them; options that are left are unknown.
    pub(crate) fn free(self, most: usize) -> Result<Vec<String>> {
        if let Some(option) = self.0.iter().find(|word| word.starts_with('-')) {
            return Err(Failure::Usage(format!("unknown option {option}")));
        }
        match self.0.get(most) {
            Some(extra) => Err(Failure::Usage(format!("unexpected argument {extra}"))),
            None => Ok(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Args {
        Args::new(words.iter().map(|word| word.to_string()))
    }

    #[test]
    fn options_stand_anywhere() {
        let mut args = args(&["delta", "--pairs", "d01,d02", "--quick", "--out=x.md"]);
        assert_eq!(args.value("--pairs").unwrap().as_deref(), Some("d01,d02"));
        assert_eq!(args.value("--out").unwrap().as_deref(), Some("x.md"));
        assert!(args.flag("--quick"));
        assert!(!args.flag("--quick"));
        assert_eq!(args.free(1).unwrap(), ["delta"]);
    }

    #[test]
    fn what_nobody_took_is_a_mistake() {
        assert!(matches!(args(&["--nope"]).free(9), Err(Failure::Usage(_))));
        assert!(matches!(args(&["a", "b"]).free(1), Err(Failure::Usage(_))));
        assert!(matches!(args(&["--pairs"]).value("--pairs"), Err(Failure::Usage(_))));
    }
}

//! Identities as Windows Installer spells them: `{8-4-4-4-12}`.

/// Whether `text` is a GUID in braces, in either case.
pub fn is_guid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 38
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            0 => *byte == b'{',
            37 => *byte == b'}',
            9 | 14 | 19 | 24 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Splits `{…}{…}` into GUIDs; `None` where something else stands between or in them.
pub(crate) fn split_guids(text: &str) -> Option<Vec<&str>> {
    let mut rest = text;
    let mut guids = Vec::new();
    while !rest.is_empty() {
        let (guid, next) = rest.split_at_checked(38)?;
        guids.push(is_guid(guid).then_some(guid)?);
        rest = next;
    }
    Some(guids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_told_from_others() {
        let good = "{5406B219-A1AC-4BC4-8695-72292C8195ac}";
        assert!(is_guid(good));
        for bad in ["", "{}", &good[1..37], &good.replace('-', "+"), &good.replace('B', "G"), &good.replace('}', ")")] {
            assert!(!is_guid(bad), "{bad}");
        }
        assert_eq!(split_guids(&format!("{good}{good}")).unwrap().len(), 2);
        assert_eq!(split_guids(""), Some(Vec::new()));
        assert_eq!(split_guids(&format!("{good};{good}")), None);
        assert_eq!(split_guids("{é"), None);
    }
}

//! Classes of bytes, one look-up each: the checks that run over every request.

/// A byte of a token: methods, field names, codings. RFC 9110 §5.6.2.
pub(crate) const TOKEN: u8 = 1;
/// A byte of a `reg-name` or an IPv4 address. RFC 3986 §3.2.2.
pub(crate) const HOST: u8 = 2;
/// A byte of a path that stands for itself wherever it stands: visible ASCII without `%`, `\`,
/// `#`, `?` and without `/` and `.`, which depend on their neighbours.
pub(crate) const PLAIN: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut b = 0x21;
    while b < 0x7f {
        let byte = b as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric || contains(b"!#$%&'*+-.^_`|~", byte) {
            classes[b] |= TOKEN;
        }
        if alphanumeric || contains(b"-._~!$&'()*+,;=%", byte) {
            classes[b] |= HOST;
        }
        if !contains(b"%\\#?/.", byte) {
            classes[b] |= PLAIN;
        }
        b += 1;
    }
    classes
};

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether a byte is of a class.
#[inline]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// How many bytes at the start are of a class.
#[inline]
pub(crate) fn span(bytes: &[u8], class: u8) -> usize {
    let mut n = 0;
    for &b in bytes {
        if !is(b, class) {
            break;
        }
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_outside_visible_ascii_is_in_a_class() {
        for b in 0..=255u8 {
            let visible = b.is_ascii_graphic();
            assert!(visible || ![TOKEN, HOST, PLAIN].iter().any(|c| is(b, *c)), "{b}");
        }
        assert_eq!((0..=255u8).filter(|b| is(*b, TOKEN)).count(), 62 + 15);
        assert_eq!((0..=255u8).filter(|b| is(*b, HOST)).count(), 62 + 16);
        assert_eq!((0..=255u8).filter(|b| is(*b, PLAIN)).count(), 94 - 6);
    }
}

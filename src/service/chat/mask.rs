//! Masks: `*` stands for any bytes, `?` for one, and the rest for itself, without regard to case.

/// Whether `text` is what `mask` describes. Its time is bounded by the product of both lengths,
/// however the stars are set: only the last star is ever gone back to.
pub fn matches(mask: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < text.len() {
        match mask.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte.eq_ignore_ascii_case(&text[read]) => {
                (at, read) = (at + 1, read + 1);
            }
            _ => match &mut star {
                Some((place, taken)) => {
                    *taken += 1;
                    (at, read) = (*place + 1, *taken);
                }
                None => return false,
            },
        }
    }
    mask[at..].iter().all(|&byte| byte == b'*')
}

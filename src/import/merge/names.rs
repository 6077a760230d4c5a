//! Names of cells taken apart: what stands before the barcode, the barcode, what stands behind it.
//!
//! What surrounds a barcode, and who put it there: `SAMPLE:…x` velocyto; `…-1` Cell Ranger, one number for each run in `aggr`;
//! `…-1-0` scanpy's `concatenate`, or its `batch_categories`; `SAMPLE_…-1` Seurat's `merge(add.cell.ids)`; `…-1_2` its `merge` without;
//! `….1` R's tables; `…-1-1` anndata's `obs_names_make_unique`.

use std::borrow::Cow;

/// The shortest run of bases that is taken for a barcode, or for a part of one.
const LEAST: usize = 8;
/// From here on a run of bases is a barcode on its own: those of 10x, Drop-seq and Seq-Well have 12 to 24, parts of combined ones 8 to 11.
const WHOLE: usize = 12;
/// What aligners leave behind names of cells that were files.
const FILE_ENDS: [&str; 5] = ["Aligned.sortedByCoord.out.bam", "_unique.bam", ".sorted.bam", ".bam", ".cram"];

/// A cell's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) before: &'a str,
    /// Bases alone where there are some: parts are joined.
    pub(super) barcode: Cow<'a, str>,
    pub(super) after: &'a str,
}

impl Name<'_> {
    /// Whether the barcode is one of bases.
    pub(super) fn has_bases(&self) -> bool {
        self.barcode.len() >= LEAST && self.barcode.bytes().all(is_base)
    }
}

fn is_base(byte: u8) -> bool {
    b"ACGTN".contains(&byte)
}

/// Takes a name apart at its last barcode of bases, at its wells as Parse writes them (`01_02_03`), or at the colon and the end of a
/// file's name.
pub(super) fn split(name: &str) -> Name<'_> {
    let runs = runs(name.as_bytes());
    let Some(&(mut start, end)) = runs.iter().rfind(|(start, end)| end - start >= WHOLE).or(runs.last()) else {
        return without_bases(name);
    };
    if end - start < WHOLE {
        // Barcodes of several parts, as inDrop's and SPLiT-seq's, with at most one sign between.
        for &(earlier, until) in runs.iter().rev().skip(1) {
            if start - until > 1 || until - earlier >= WHOLE {
                break;
            }
            start = earlier;
        }
    }
    let barcode = &name[start..end];
    let barcode = if barcode.bytes().all(is_base) {
        Cow::Borrowed(barcode)
    } else {
        Cow::Owned(barcode.chars().filter(char::is_ascii_uppercase).collect())
    };
    Name { before: &name[..start], barcode, after: &name[end..] }
}

/// Where runs of at least [`LEAST`] bases start and end.
fn runs(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|&&byte| is_base(byte)).count();
        if run >= LEAST {
            found.push((at, at + run));
        }
        at += run.max(1);
    }
    found
}

fn without_bases(name: &str) -> Name<'_> {
    let bytes = name.as_bytes();
    let well = |at: usize| {
        let part = bytes.get(at..at + 8)?;
        let fits =
            part.iter().enumerate().all(|(i, byte)| if i % 3 == 2 { *byte == b'_' } else { byte.is_ascii_digit() });
        fits.then_some(at)
    };
    let (start, end) = if let Some(at) = (0..bytes.len()).find_map(well) {
        (at, at + 8)
    } else {
        let start = name.rfind(':').map_or(0, |colon| colon + 1);
        let rest = &name[start..];
        let kept = FILE_ENDS.iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
        (start, start + kept.len())
    };
    Name { before: &name[..start], barcode: Cow::Borrowed(&name[start..end]), after: &name[end..] }
}

/// A piece of a name without the signs around it: `day0_` → `day0`.
pub(super) fn bare(piece: &str) -> &str {
    piece.trim_matches(|letter: char| !letter.is_alphanumeric())
}

/// Whether two words may name one sample: the same letters and numbers; or, if it is more than a number, the parts of one follow each
/// other in the other.
pub(super) fn agree(one: &str, other: &str) -> bool {
    let parts = |word: &str| -> Vec<String> {
        let parts = word.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
        parts.map(str::to_lowercase).collect()
    };
    let (one, other) = (parts(one), parts(other));
    let (short, long) = if one.len() <= other.len() { (&one, &other) } else { (&other, &one) };
    let speaks = short.iter().flat_map(|part| part.chars()).any(char::is_alphabetic);
    let within = || long.windows(short.len()).any(|window| window == &short[..]);
    !short.is_empty() && (one.concat() == other.concat() || (speaks && within()))
}

/// How a group's names become those of its counts: `day0_BARCODE-1 = s1:BARCODEx`.
pub(super) fn rule(ours: &Name, theirs: &Name) -> String {
    let pattern = |name: &Name| format!("{}BARCODE{}", name.before, name.after);
    if pattern(ours) == pattern(theirs) {
        "as they are written".to_owned()
    } else {
        format!("{} = {}", pattern(ours), pattern(theirs))
    }
}

/// The barcode as it is read from the other strand.
pub(super) fn reverse_complement(barcode: &str) -> String {
    let turned = barcode.chars().rev().map(|base| match base {
        'A' => 'T',
        'C' => 'G',
        'G' => 'C',
        'T' => 'A',
        other => other,
    });
    turned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> [String; 3] {
        let found = split(name);
        [found.before.to_owned(), found.barcode.to_string(), found.after.to_owned()]
    }

    #[test]
    fn a_barcode_is_found_whatever_stands_around_it() {
        const BARCODE: &str = "ACGTACGTACGTACGT";
        for (before, after) in [
            ("", ""),
            ("", "-1"),
            ("s1:", "x"),
            ("", "-1-0"),
            ("day_0_", "-1"),
            ("", "-1_2"),
            ("X", ".1"),
            ("GEX#", "-1"),
        ] {
            let name = format!("{before}{BARCODE}{after}");
            assert_eq!(parts(&name), [before, BARCODE, after].map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn parts_of_a_barcode_are_joined_and_an_index_before_it_is_not_one() {
        assert_eq!(parts("s_ACGTACGT-TTTTGGGG"), ["s_", "ACGTACGTTTTTGGGG", ""]);
        assert_eq!(parts("ACGTACGT_TTTTGGGG_CCCCAAAA-1"), ["", "ACGTACGTTTTTGGGGCCCCAAAA", "-1"]);
        assert_eq!(parts("CATTAGGA_ACGTACGTACGTACGT-1"), ["CATTAGGA_", "ACGTACGTACGTACGT", "-1"]);
    }

    #[test]
    fn names_without_bases_are_wells_or_files() {
        assert_eq!(parts("01_02_96__s2"), ["", "01_02_96", "__s2"]);
        assert_eq!(
            parts("run:plate1_A3Aligned.sortedByCoord.out.bam"),
            ["run:", "plate1_A3", "Aligned.sortedByCoord.out.bam"]
        );
        assert_eq!(parts("17"), ["", "17", ""]);
    }

    #[test]
    fn words_of_one_sample_agree() {
        assert!(agree("day0", "Day_0") && agree("E15", "pancreas_E15-5") && agree("s-1", "S1"));
        assert!(!agree("1", "day_1") && !agree("", "a") && !agree("ctrl", "control"));
    }
}

//! What became of genes, in words, as a table and as `.csv`.

use std::fmt::{self, Write};

use super::{Explained, OfFit, Preprocessing};
use crate::data::{Bound, GeneFilter};

/// What `fit_status` is of genes that have a fit.
const HAS_FIT: [&str; 2] = ["fitted", "not converged"];

/// How many genes one filter takes.
pub(in crate::pipeline) struct Step {
    /// Whether the fit has it, rather than preprocessing.
    pub(in crate::pipeline) by_fit: bool,
    /// What is asked of a gene.
    pub(in crate::pipeline) what: String,
    /// Genes that fall out.
    pub(in crate::pipeline) taken: usize,
    /// Genes that are left.
    pub(in crate::pipeline) left: usize,
}

impl Explained {
    /// One sentence: kept, or what took the gene.
    #[must_use]
    pub fn verdict(&self, gene: usize) -> String {
        let of_fit = || self.fit.as_ref().map(|fit| fit.verdict(gene));
        let Some(before) = &self.preprocessing else {
            return of_fit().unwrap_or_default();
        };
        match before.status[gene].as_str() {
            "kept" => of_fit().unwrap_or_else(|| "kept".to_owned()),
            "retained" => {
                let against = before.taker(gene).map(|filter| format!(", against {}", against(filter, gene)));
                let kept =
                    format!("kept by preprocessing as one of preprocess.retain_genes{}", against.unwrap_or_default());
                of_fit().map_or(kept.clone(), |fit| format!("{kept}; {fit}"))
            }
            status => match before.taker(gene) {
                Some(filter) => format!("left out: {}{}", against(filter, gene), before.parts(filter, gene)),
                None => format!("left out: {status}"),
            },
        }
    }

    /// Number of genes that each filter of preprocessing takes, in order, by its key.
    #[must_use]
    pub fn taken(&self) -> Vec<(&'static str, usize)> {
        let Some(before) = &self.preprocessing else { return Vec::new() };
        let genes = |filter: &GeneFilter| {
            let takes = |gene: &usize| {
                !before.keeps(*gene) && before.taker(*gene).is_some_and(|other| std::ptr::eq(other, filter))
            };
            (0..self.names.len()).filter(takes).count()
        };
        let bounded = before.filters.iter().filter(|filter| filter.bound != Bound::None);
        bounded.map(|filter| (filter.key, genes(filter))).collect()
    }

    /// All genes with every value, bound and outcome, a row each.
    #[must_use]
    pub fn csv(&self) -> String {
        let filters: Vec<&GeneFilter> = self.filters().collect();
        let mut head = vec!["gene".to_owned()];
        head.extend(self.others.as_ref().map(|_| "other_name".to_owned()));
        head.extend(["kept", "velocity_gene", "verdict"].map(str::to_owned));
        for filter in &filters {
            head.push(filter.key.to_owned());
            if filter.bound != Bound::None {
                head.extend(["wanted", "passes"].map(|what| format!("{}_{what}", filter.key)));
            }
        }
        let mut text = head.join(",") + "\n";
        for gene in 0..self.names.len() {
            let mut row = vec![quoted(&self.names[gene])];
            row.extend(self.others.as_ref().map(|others| quoted(&others[gene])));
            let kept = self.preprocessing.as_ref().map_or_else(String::new, |before| before.keeps(gene).to_string());
            let used = self.fit.as_ref().map_or_else(String::new, |fit| fit.velocity_gene[gene].to_string());
            row.extend([kept, used, quoted(&self.verdict(gene))]);
            for filter in &filters {
                let looked = filter.passes(gene);
                row.push(if looked.is_some() { plain(filter.values[gene]) } else { String::new() });
                if filter.bound != Bound::None {
                    row.push(quoted(&wanted(filter.bound)));
                    row.push(looked.map_or_else(String::new, |passes| passes.to_string()));
                }
            }
            text += &(row.join(",") + "\n");
        }
        text
    }

    fn filters(&self) -> impl Iterator<Item = &GeneFilter> {
        let before = self.preprocessing.iter().flat_map(|before| &before.filters);
        before.chain(self.fit.iter().flat_map(|fit| &fit.filters))
    }

    /// How many genes each filter takes, in order: those of preprocessing, then those of the fit.
    pub(in crate::pipeline) fn steps(&self) -> Vec<Step> {
        let n = self.names.len();
        let mut steps = Vec::new();
        let mut left = n;
        if let Some(before) = &self.preprocessing {
            let bounded = before.filters.iter().filter(|filter| filter.bound != Bound::None);
            for (filter, (_, taken)) in bounded.zip(self.taken()) {
                left -= taken;
                steps.push(Step { by_fit: false, what: asked(filter), taken, left });
            }
        }
        if let Some(fit) = &self.fit {
            let kept = (0..n).filter(|&gene| self.preprocessing.as_ref().is_none_or(|before| before.keeps(gene)));
            steps.extend(fit.steps(kept.collect()));
        }
        steps
    }

    /// The genes that are no velocity genes, with what became of them, if they are at most `most`; else those of them that have a fit, if
    /// these are; else none.
    pub(in crate::pipeline) fn fallen(&self, most: usize) -> Vec<(&str, String)> {
        let Some(fit) = &self.fit else { return Vec::new() };
        let all: Vec<usize> = (0..self.names.len()).filter(|&gene| !fit.velocity_gene[gene]).collect();
        let fitted: Vec<usize> = all.iter().copied().filter(|&gene| fit.fitted[gene]).collect();
        let short = [all, fitted].into_iter().find(|genes| genes.len() <= most).unwrap_or_default();
        short.into_iter().map(|gene| (self.names[gene].as_str(), self.verdict(gene))).collect()
    }

    /// Whether it is told what preprocessing did.
    pub(in crate::pipeline) fn tells_preprocessing(&self) -> bool {
        self.preprocessing.is_some()
    }

    /// How many genes each filter takes, in words.
    fn summary(&self) -> String {
        let n = self.names.len();
        let mut text = format!("{n} genes in {}; settings: {}\n", self.input.display(), self.settings);
        let steps = self.steps();
        let write = |text: &mut String, by_fit: bool| {
            for step in steps.iter().filter(|step| step.by_fit == by_fit) {
                let _ = writeln!(text, "  {:40} {:>8} {:>8}", step.what, step.taken, step.left);
            }
        };
        if let Some(before) = &self.preprocessing {
            let _ = writeln!(text, "{:42} {:>8} {:>8}", "preprocessing", "left out", "left");
            write(&mut text, false);
            let retained = before.status.iter().filter(|status| *status == "retained").count();
            if retained > 0 {
                let _ = writeln!(text, "  {retained} of them kept by preprocess.retain_genes against a filter");
            }
        }
        if let Some(fit) = &self.fit {
            let _ = writeln!(text, "{:42} {:>8} {:>8}", format!("fit ({})", fit.model), "left out", "left");
            write(&mut text, true);
            let left = steps.last().map_or(0, |step| step.left);
            let _ = writeln!(text, "{left} velocity genes");
        }
        text + "--genes A,B tells why of single genes, --csv FILE of all"
    }

    /// Every filter of one gene.
    fn of_gene(&self, gene: usize) -> String {
        let other = self.others.as_ref().map_or_else(String::new, |others| format!(" ({})", others[gene]));
        let mut text = format!("{}{other}: {}\n", self.names[gene], self.verdict(gene));
        for filter in self.filters() {
            let passes = filter.passes(gene);
            let value = if passes.is_some() { shown(filter.bound, filter.values[gene]) } else { "-".to_owned() };
            let outcome = match passes {
                _ if filter.bound == Bound::None => "",
                Some(true) => "pass",
                Some(false) => "fail",
                None => "not looked at",
            };
            let line = format!("  {:40} {value:>10}  {:20} {outcome}", filter.name, wanted(filter.bound));
            text += line.trim_end();
            text += "\n";
        }
        text
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.asked.is_empty() {
            return f.write_str(&self.summary());
        }
        writeln!(f, "settings: {}", self.settings)?;
        let genes: Vec<String> = self.asked.iter().map(|&gene| self.of_gene(gene)).collect();
        f.write_str(genes.join("\n").trim_end())
    }
}

impl Preprocessing {
    fn keeps(&self, gene: usize) -> bool {
        matches!(self.status[gene].as_str(), "kept" | "retained")
    }

    /// The first filter that takes the gene.
    fn taker(&self, gene: usize) -> Option<&GeneFilter> {
        self.filters.iter().find(|filter| filter.takes(gene))
    }

    /// Where there are too few cells with both forms, how many molecules of each form there are at all.
    fn parts(&self, taker: &GeneFilter, gene: usize) -> String {
        if !taker.key.starts_with("shared") {
            return String::new();
        }
        let told = self.filters.iter().filter(|filter| filter.bound == Bound::None);
        let told: Vec<String> = told.map(|filter| format!("{} {}", plain(filter.values[gene]), filter.name)).collect();
        format!(" ({} in all cells)", told.join(", "))
    }
}

impl OfFit {
    fn verdict(&self, gene: usize) -> String {
        let status = self.status.as_ref().map(|status| status[gene].as_str());
        if let Some(status) = status.filter(|status| !HAS_FIT.contains(status)) {
            return format!(
                "without a fit: {}",
                if status.is_empty() || status == "nan" { "not fitted" } else { status }
            );
        }
        if !self.fitted[gene] {
            return "without a fit".to_owned();
        }
        if self.velocity_gene[gene] {
            return "kept: a velocity gene".to_owned();
        }
        let reasons: Vec<String> =
            self.filters.iter().filter(|filter| filter.takes(gene)).map(|filter| against(filter, gene)).collect();
        if reasons.is_empty() {
            return format!("fitted, but no velocity gene: {} looked at what its fit does not record", self.model);
        }
        format!("fitted, but no velocity gene: {}", reasons.join("; "))
    }

    /// How many of the genes that are `left` by preprocessing each filter takes.
    fn steps(&self, mut left: Vec<usize>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut keep = |what: String, left: &mut Vec<usize>, keeps: &dyn Fn(usize) -> bool| {
            let before = left.len();
            left.retain(|&gene| keeps(gene));
            steps.push(Step { by_fit: true, what, taken: before - left.len(), left: left.len() });
        };
        keep("without a fit".to_owned(), &mut left, &|gene| self.fitted[gene]);
        for filter in self.filters.iter().filter(|filter| filter.bound != Bound::None) {
            // The model may have lowered a bound where too few genes were left: its word counts.
            keep(asked(filter), &mut left, &|gene| self.velocity_gene[gene] || !filter.takes(gene));
        }
        if left.iter().any(|&gene| !self.velocity_gene[gene]) {
            keep("what the fit does not record".to_owned(), &mut left, &|gene| self.velocity_gene[gene]);
        }
        steps
    }
}

/// A filter as what it asks for.
fn asked(filter: &GeneFilter) -> String {
    match filter.bound {
        Bound::None | Bound::IsTrue => filter.name.to_owned(),
        bound => format!("{} {}", filter.name, wanted(bound)),
    }
}

/// What a gene failed, with value and bound.
fn against(filter: &GeneFilter, gene: usize) -> String {
    let (name, value) = (filter.name, filter.values[gene]);
    let by = if filter.setting.is_empty() { String::new() } else { format!(", {}", filter.setting) };
    let (sign, bound) = match filter.bound {
        Bound::AtLeast(bound) => ("<", bound),
        Bound::AtMost(bound) => (">", bound),
        Bound::Above(bound) => ("<=", bound),
        Bound::Below(bound) => (">=", bound),
        Bound::None | Bound::IsTrue => return format!("not {name}{by}"),
    };
    format!("{name} {} {sign} {}{by}", plain(value), plain(bound))
}

/// A bound in words; empty if there is none.
pub(in crate::pipeline) fn wanted(bound: Bound) -> String {
    match bound {
        Bound::None => String::new(),
        Bound::AtLeast(bound) => format!("at least {}", plain(bound)),
        Bound::AtMost(bound) => format!("at most {}", plain(bound)),
        Bound::Above(bound) => format!("above {}", plain(bound)),
        Bound::Below(bound) => format!("below {}", plain(bound)),
        Bound::IsTrue => "yes".to_owned(),
    }
}

fn shown(bound: Bound, value: f64) -> String {
    match bound {
        Bound::IsTrue => (if value > 0.0 { "yes" } else { "no" }).to_owned(),
        _ => plain(value),
    }
}

/// A number as people write it: whole ones whole, others with four digits that count.
fn plain(value: f64) -> String {
    let digits = if value == 0.0 || !value.is_finite() { 0.0 } else { value.abs().log10().floor() };
    if value.fract() == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if digits < -4.0 {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - digits).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A field of a `.csv`.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

//! One self-contained page.

use std::fmt::Write as _;

use super::content::{Content, Section, Table, Trust, Values};
use super::figures::{expression_along_time, state_along_time};
use super::payload::{Extent, Payload};
use super::svg::escape;
use super::{Colouring, Options};
use crate::error::Result;
use crate::scores::Verdict;

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// The script in the order in which its parts need each other.
const SCRIPT: [&str; 5] = [
    include_str!("page/data.js"),
    include_str!("page/chart.js"),
    include_str!("page/map.js"),
    include_str!("page/genes.js"),
    include_str!("page/page.js"),
];

/// The report as one HTML file: no network, no other files. It stays below [`Options::page_bytes`] as long as the cells alone do.
///
/// What can be said without a script (trust, summary, metrics, settings) stands in the page as text; the embedding, the
/// genes and the losses are drawn by the script from data that it holds, two bytes per number.
///
/// # Errors
/// Those of [`Content::check`]; [`Error::Data`](crate::Error::Data) if the raster of a picture cannot be made.
pub fn page(content: &Content, options: &Options) -> Result<String> {
    content.check()?;
    let groups = content.colourings.iter().find(|c| matches!(c.values, Values::Categorical { .. }));
    let pictures = pictures(content, groups, options)?;
    let script = format!("(() => {{\n\"use strict\";\n{}\n}})();", SCRIPT.join("\n"));
    let fixed = [
        ("style", STYLE.to_owned()),
        ("script", script),
        ("title", escape(&content.title)),
        ("version", escape(&content.version)),
        ("verdict", verdict(content.overall.verdict, "large")),
        ("overall", escape(&content.overall.text)),
        ("summary", pairs(&content.summary)),
        ("trust", trust(&content.trust)),
        ("pictures", pictures),
        ("metrics", table(&content.metrics)),
        ("sections", sections(&content.sections)),
        ("settings", escape(&content.settings)),
        ("shows", shows(content)),
    ];
    let used: usize = FRAME.len() + fixed.iter().map(|(_, text)| text.len()).sum::<usize>() + 1024;
    let payload = Payload::new(content, options, options.page_bytes.saturating_sub(used));
    let left_out = left_out(content, payload.extent);
    let data = payload.to_json();
    let mut values: Vec<(&str, &str)> = fixed.iter().map(|(name, text)| (*name, text.as_str())).collect();
    values.extend([("left_out", left_out.as_str()), ("data", data.as_str())]);
    Ok(filled(FRAME, &values))
}

/// The frame with `{{name}}` replaced, in one pass: what is put in is not looked at again.
fn filled(frame: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(frame.len() + values.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut parts = frame.split("{{");
    page.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or(("", part));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.map_or("", |(_, text)| text));
        page.push_str(rest);
    }
    page
}

/// Classes that hide the sections without content.
fn shows(content: &Content) -> String {
    let sections = [
        ("no-trust", content.trust.is_empty()),
        ("no-map", content.embedding.is_none()),
        ("no-genes", content.genes.is_empty()),
        ("no-losses", content.losses.is_empty()),
        ("no-metrics", content.metrics.rows.is_empty()),
        ("no-settings", content.settings.is_empty()),
    ];
    sections.iter().filter(|(_, empty)| *empty).map(|(class, _)| *class).collect::<Vec<_>>().join(" ")
}

/// A mark with its word: neither colour nor shape alone carries the meaning.
fn verdict(verdict: Verdict, size: &str) -> String {
    let (class, shape) = match verdict {
        Verdict::Good => ("good", "<path d=\"M5 10.5l3.4 3.4L15 7\"/>"),
        Verdict::Caution => ("caution", "<path d=\"M10 5v6.5M10 14.6v.4\"/>"),
        Verdict::Bad => ("bad", "<path d=\"M6 6l8 8M14 6l-8 8\"/>"),
        Verdict::Unknown => ("unknown", "<path d=\"M7.4 7.8a2.7 2.7 0 1 1 3.9 2.4c-.9.5-1.3 1-1.3 1.9M10 14.8v.3\"/>"),
    };
    format!(
        "<span class=\"verdict {class} {size}\"><svg viewBox=\"0 0 20 20\" aria-hidden=\"true\"><circle cx=\"10\" cy=\"10\" r=\"9.5\"/>{shape}</svg>{}</span>",
        verdict.word()
    )
}

fn trust(lines: &[Trust]) -> String {
    let mut rows = String::new();
    for line in lines {
        let _ = writeln!(
            rows,
            "<li>{}<div class=\"question\"><h3>{}</h3><p>{}</p></div><p class=\"value\">{}</p></li>",
            verdict(line.verdict, "small"),
            escape(&line.question),
            escape(&line.explanation),
            escape(&line.value)
        );
    }
    rows
}

fn pairs(lines: &[(String, String)]) -> String {
    let pair =
        |(name, value): &(String, String)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    lines.iter().map(pair).collect::<Vec<_>>().join("\n")
}

fn table(table: &Table) -> String {
    let cells = |tag: &str, words: &[String]| {
        words.iter().map(|word| format!("<{tag}>{}</{}>", escape(word), &tag[..2])).collect::<Vec<_>>().concat()
    };
    let mut rows = format!("<thead><tr>{}</tr></thead>\n<tbody>\n", cells("th scope=\"col\"", &table.columns));
    for row in &table.rows {
        let _ = writeln!(rows, "<tr>{}</tr>", cells("td", row));
    }
    rows + "</tbody>"
}

/// Tables under headings of their own.
fn sections(all: &[Section]) -> String {
    let scrolled = |of: &Table, class: &str| {
        format!("<div class=\"scroll\"><table class=\"{class}\">\n{}\n</table></div>", table(of))
    };
    let mut html = String::new();
    for section in all {
        let _ = writeln!(html, "<section class=\"card\">\n<h2>{}</h2>", escape(&section.title));
        for paragraph in &section.text {
            let _ = writeln!(html, "<p class=\"help\">{}</p>", escape(paragraph));
        }
        if !section.table.rows.is_empty() {
            let _ = writeln!(html, "{}", scrolled(&section.table, "metrics"));
        }
        for (line, table) in &section.folded {
            let _ = writeln!(
                html,
                "<details><summary>{}</summary>\n{}\n</details>",
                escape(line),
                scrolled(table, "listed")
            );
        }
        html += "</section>\n\n";
    }
    html
}

/// Pictures that the script does not draw, as inline SVG.
fn pictures(content: &Content, groups: Option<&Colouring>, options: &Options) -> Result<String> {
    let heatmap = expression_along_time(content, groups, options.heatmap_genes)?;
    let state = match content.colourings.first() {
        Some(first) => state_along_time(content, first, 9)?,
        None => None,
    };
    let entries = [
        (
            "Genes along time",
            "Spliced abundance of the velocity genes with the highest rank, each between its lowest and highest value, in cells ordered by time.",
            heatmap,
        ),
        ("Cell state along time", "Dimensions of the cell state against time.", state),
    ];
    let mut html = String::new();
    for (title, caption, figure) in entries {
        if let Some(figure) = figure {
            let _ = writeln!(
                html,
                "<figure class=\"card\"><h2>{title}</h2><div class=\"paper\">{}</div><figcaption>{caption}</figcaption></figure>",
                figure.inline(title)
            );
        }
    }
    Ok(html)
}

/// What the page does not hold, in words.
fn left_out(content: &Content, extent: Extent) -> String {
    let mut words = Vec::new();
    let (cells, genes, of_genes) = (content.cells.len(), content.genes.len(), extent.gene_cells);
    if extent.cells < cells {
        words.push(format!("The map draws {} of {} cells.", grouped(extent.cells), grouped(cells)));
    }
    if of_genes < cells && genes > 0 {
        words.push(format!(
            "Values of genes are shown for {} of {} cells ({} left out), chosen without regard to what they hold.",
            grouped(of_genes),
            grouped(cells),
            grouped(cells - of_genes)
        ));
    }
    if extent.genes < genes {
        words.push(format!(
            "To keep the file small, cells are shown for the {} genes with the highest rank; of the other {} genes the statistics are shown.",
            grouped(extent.genes),
            grouped(genes - extent.genes)
        ));
    }
    words.join(" ")
}

/// Thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

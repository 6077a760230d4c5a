//! Pictures and pages.

use std::path::PathBuf;

use nascent::embedding::Flow;
use nascent::report::{
    Arrows, Colouring, Options, Quantised, Values, escape, figures, on_embedding, page, streamlines, subsample, write,
};
use ndarray::Array2;
use proptest::prelude::*;
use resvg::usvg;

use crate::report_content::content;

fn options() -> usvg::Options<'static> {
    usvg::Options::default()
}

#[test]
fn every_figure_is_well_formed_svg_without_nan() {
    let content = content(400, 30);
    let all = figures(&content, &Options::default()).expect("figures");
    assert!(all.len() >= 18, "{}", all.len());
    for (name, figure) in all {
        let svg = figure.to_svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        let tree = usvg::Tree::from_str(&svg, &options()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((f64::from(tree.size().width()) - figure.width()).abs() < 0.01, "{name}");
    }
}

#[test]
fn a_png_has_the_size_that_its_resolution_asks_for() {
    let content = content(200, 12);
    let embedding = content.embedding.as_ref().expect("there is one");
    let figure = on_embedding(embedding, &content.colourings[0], Arrows::Streams).expect("a figure");
    let png = figure.to_png(192.0).expect("a picture");
    let decoded = resvg::tiny_skia::Pixmap::decode_png(&png).expect("a PNG");
    assert_eq!(decoded.width(), (2.0 * figure.width()).round() as u32);
    assert_eq!(decoded.height(), (2.0 * figure.height()).round() as u32);
    let dark = decoded.pixels().iter().filter(|p| p.red() < 90 && p.green() < 90 && p.blue() < 90).count();
    assert!(dark > 500, "lines and letters are drawn: {dark} dark pixels");
}

#[test]
fn letters_come_from_the_embedded_face() {
    let content = content(100, 8);
    let figure =
        on_embedding(content.embedding.as_ref().expect("one"), &content.colourings[1], Arrows::None).expect("a figure");
    let svg = figure.to_svg();
    let without_text = {
        let mut rest = svg.as_str();
        let mut kept = String::new();
        while let Some(start) = rest.find("<text") {
            kept.push_str(&rest[..start]);
            rest = &rest[start + rest[start..].find("</text>").expect("closed") + 7..];
        }
        kept + rest
    };
    assert_ne!(svg, without_text);
    let all = figure.to_png(96.0).expect("a picture");
    let tree = usvg::Tree::from_str(&without_text, &options()).expect("well formed");
    let mut bare =
        resvg::tiny_skia::Pixmap::new(figure.width().round() as u32, figure.height().round() as u32).expect("a size");
    resvg::render(&tree, resvg::tiny_skia::Transform::default(), &mut bare.as_mut());
    assert_ne!(all, bare.encode_png().expect("a PNG"), "the words are drawn");
}

#[test]
fn many_points_are_one_raster_and_few_are_circles() {
    let few = content(300, 8);
    let many = content(6_000, 8);
    let draw = |content: &nascent::report::Content| {
        let embedding = content.embedding.as_ref().expect("there is one");
        on_embedding(embedding, &content.colourings[1], Arrows::None).expect("a figure").to_svg()
    };
    assert!(draw(&few).matches("<circle").count() == 300 && !draw(&few).contains("<image"));
    assert!(draw(&many).matches("<circle").count() == 0 && draw(&many).contains("data:image/png;base64,"));
}

/// (u, v) = (-y, x) on a grid from -1 to 1.
fn rotation(side: usize) -> Flow {
    let axis: Vec<f64> = (0..side).map(|i| -1.0 + 2.0 * i as f64 / (side - 1) as f64).collect();
    let u = Array2::from_shape_fn((side, side), |(j, _)| -axis[j]);
    let v = Array2::from_shape_fn((side, side), |(_, i)| axis[i]);
    Flow { x: axis.clone(), y: axis, u, v }
}

#[test]
fn streamlines_of_a_rotation_are_circles_run_through_counter_clockwise() {
    let lines = streamlines(&rotation(31), 1.0);
    assert!(lines.len() > 8, "{}", lines.len());
    for line in &lines {
        let radius = line.points[0][0].hypot(line.points[0][1]);
        for (point, speed) in line.points.iter().zip(&line.speeds) {
            assert!((point[0].hypot(point[1]) - radius).abs() < 0.01, "{radius} and {point:?}");
            assert!((speed - radius).abs() < 0.02);
        }
        for pair in line.points.windows(2) {
            assert!(pair[0][0] * pair[1][1] - pair[0][1] * pair[1][0] > 0.0, "{pair:?}");
        }
    }
}

#[test]
fn streamlines_keep_apart_and_out_of_places_without_flow() {
    let mut flow = rotation(31);
    for j in 0..31 {
        for i in 20..31 {
            (flow.u[[j, i]], flow.v[[j, i]]) = (f64::NAN, f64::NAN);
        }
    }
    let lines = streamlines(&flow, 1.0);
    assert!(!lines.is_empty());
    let step = 2.0 / 30.0;
    let edge = flow.x[19] + step;
    assert!(lines.iter().flat_map(|line| &line.points).all(|point| point[0] <= edge));
    // No place of the mask (a thirty-second of the side) lies deep inside two lines.
    for (a, line) in lines.iter().enumerate() {
        for other in &lines[..a] {
            let near = |p: &[f64; 2]| other.points.iter().any(|q| (p[0] - q[0]).hypot(p[1] - q[1]) < 1e-3);
            assert!(line.points.iter().filter(|p| near(p)).count() <= 2);
        }
    }
}

#[test]
fn a_field_without_flow_or_extent_has_no_streamlines() {
    let mut still = rotation(5);
    still.u.fill(0.0);
    still.v.fill(0.0);
    assert!(streamlines(&still, 1.0).is_empty());
    still.u.fill(f64::NAN);
    assert!(streamlines(&still, 1.0).is_empty());
    let point = Flow { x: vec![0.0], y: vec![0.0], u: Array2::ones((1, 1)), v: Array2::ones((1, 1)) };
    assert!(streamlines(&point, 1.0).is_empty());
}

#[test]
fn a_page_loads_nothing() {
    let html = page(&content(300, 20), &Options::default()).expect("a page");
    for outside in ["http://", "https://", "//cdn", "@import", "url(", "<link rel=\"stylesheet", " src="] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!html.contains("{{"), "every place is filled");
    let (trust, map) = (html.find("id=\"trust\""), html.find("id=\"map\""));
    assert!(trust < map, "what to believe stands before the arrows");
    for word in ["Good", "Caution", "Bad", "Unknown"] {
        assert!(html.contains(&format!("</svg>{word}</span>")), "marks carry their word: {word}");
    }
}

#[test]
fn names_cannot_end_the_script_or_the_markup() {
    let evil = "</script><script>alert(1)</script><!--&\"'{{data}}";
    let mut content = content(60, 8);
    content.title = evil.to_owned();
    content.version = evil.to_owned();
    content.settings = evil.to_owned();
    content.overall.text = evil.to_owned();
    content.cells[3] = evil.to_owned();
    content.genes[2].name = evil.to_owned();
    content.genes[2].rank = 1e9;
    content.genes[2].why_not = evil.to_owned();
    content.trust[0].question = evil.to_owned();
    content.summary[0].1 = evil.to_owned();
    content.metrics.rows[0][0] = evil.to_owned();
    content.losses[0].name = evil.to_owned();
    content.colourings[0].name = evil.to_owned();
    if let Values::Categorical { categories, colours, .. } = &mut content.colourings[0].values {
        categories[0] = evil.to_owned();
        *colours = vec!["\"><script>".to_owned()];
    }
    content.embedding.as_mut().expect("there is one").basis = evil.to_owned();
    let html = page(&content, &Options::default()).expect("a page");
    assert_eq!(html.matches("<script").count(), 2, "the data and our script");
    assert_eq!(html.matches("</script>").count(), 2);
    assert_eq!(
        html.matches("alert(1)").count(),
        html.matches("script&gt;alert(1)").count() + html.matches("script>alert(1)\\u003c").count()
    );
    let start = html.find("id=\"data\">").expect("data") + 10;
    let json = &html[start..start + html[start..].find("</script>").expect("closed")];
    let data: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(data["genes"][0]["name"], evil);
    assert_eq!(data["names"][3], evil);
    for (name, figure) in figures(&content, &Options::default()).expect("figures") {
        usvg::Tree::from_str(&figure.to_svg(), &options()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{name}");
    }
}

/// A picture as wide as its longest label took gigabytes to draw.
#[test]
fn labels_of_any_length_leave_pictures_of_a_size_that_can_be_drawn() {
    let mut content = content(60, 8);
    let long = "x".repeat(70_000);
    content.genes[2].name.clone_from(&long);
    for colouring in &mut content.colourings {
        colouring.name.clone_from(&long);
        if let Values::Categorical { categories, .. } = &mut colouring.values {
            categories.fill(long.clone());
        }
    }
    let figures = figures(&content, &Options::default()).expect("figures");
    assert!(figures.iter().any(|(_, figure)| figure.to_svg().contains("xxx…")));
    for (name, figure) in figures {
        let tree = usvg::Tree::from_str(&figure.to_svg(), &options()).expect("SVG");
        let [width, height] = [tree.size().width(), tree.size().height()];
        assert!(width < 2500.0 && height < 2500.0, "{name}: {width} x {height}");
    }
}

#[test]
fn a_page_keeps_to_its_budget_and_says_what_it_leaves_out() {
    let content = content(30_000, 120);
    let whole = page(&content, &Options::default()).expect("a page");
    assert!(whole.len() <= 20 << 20, "{}", whole.len());
    assert!(whole.contains("3,000 of 30,000 cells (27,000 left out)"));
    let small = Options { page_bytes: 4 << 20, ..Options::default() };
    let html = page(&content, &small).expect("a page");
    assert!(html.len() <= small.page_bytes, "{}", html.len());
    assert!(html.contains("genes with the highest rank"));
    let fewer = Options { page_cells: 5_000, gene_cells: 500, page_bytes: 3 << 20, ..small };
    let html = page(&content, &fewer).expect("a page");
    assert!(html.contains("The map draws 5,000 of 30,000 cells.") && html.len() <= fewer.page_bytes);
}

#[test]
fn the_same_content_gives_the_same_page() {
    let content = content(200, 10);
    let again = || page(&content, &Options::default()).expect("a page");
    assert!(again() == again());
}

#[test]
fn content_with_gaps_is_drawn_without_what_is_missing() {
    let mut content = content(50, 8);
    content.embedding.as_mut().expect("one").points[[0, 0]] = f32::NAN;
    content.genes[0].ms[0] = f32::NAN;
    content.genes[1].velocity = None;
    content.genes[1].course.clear();
    content.genes[2].ms.fill(0.0);
    content.genes[2].mu.fill(0.0);
    if let Values::Continuous { values, .. } = &mut content.colourings[1].values {
        values.fill(f64::NAN);
    }
    for (name, figure) in figures(&content, &Options::default()).expect("figures") {
        assert!(!figure.to_svg().contains("NaN"), "{name}");
        figure.to_png(96.0).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    page(&content, &Options::default()).expect("a page");
    let empty = nascent::report::Content::default();
    assert!(figures(&empty, &Options::default()).expect("none").is_empty());
    page(&empty, &Options::default()).expect("a page of nothing");
}

#[test]
fn arrays_of_other_lengths_are_refused_by_name() {
    let mut short = content(50, 8);
    short.genes[4].mu.pop();
    let name = short.genes[4].name.clone();
    let error = page(&short, &Options::default()).expect_err("one cell too few").to_string();
    assert!(error.contains("Mu") && error.contains(&name), "{error}");
    let mut short = content(50, 8);
    short.colourings[1] = Colouring {
        name: "age".to_owned(),
        values: Values::Categorical { codes: vec![0], categories: Vec::new(), colours: Vec::new() },
    };
    assert!(page(&short, &Options::default()).expect_err("49 cells too few").to_string().contains("age"));
    let mut beyond = content(50, 8);
    *beyond.gene_cells.last_mut().expect("50") = 50;
    assert!(page(&beyond, &Options::default()).is_err());
}

#[test]
fn writing_makes_the_folder_with_page_and_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("deep/report");
    let options = Options { figure_genes: 1, ..Options::default() };
    let written = write(&target, &content(80, 8), &options).expect("written");
    assert_eq!(std::fs::read(&written.page).expect("a page").len(), written.page_bytes);
    assert!(written.figures.iter().all(|path| path.exists()));
    assert!(target.join("figures/stream.svg").exists() && target.join("figures/stream.png").exists());
}

#[test]
fn a_subsample_is_rising_repeatable_and_spread_over_the_file() {
    let chosen = subsample(30_000, 3_000);
    assert_eq!(chosen.len(), 3_000);
    assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(chosen, subsample(30_000, 3_000));
    for tenth in 0..10 {
        let inside = chosen.iter().filter(|&&c| c / 3_000 == tenth).count();
        assert!((200..400).contains(&inside), "{inside} of 300 expected");
    }
    assert_eq!(subsample(5, 10), vec![0, 1, 2, 3, 4]);
}

proptest! {
    #[test]
    fn quantised_numbers_come_back_to_within_half_a_step(values in prop::collection::vec(prop_oneof![-1e6..1e6, Just(f64::NAN)], 0..200)) {
        let packed = Quantised::new(values.iter().copied());
        let back = packed.unpack().expect("codes");
        prop_assert_eq!(back.len(), values.len());
        let half = (packed.hi - packed.lo) / 65534.0 / 2.0 * (1.0 + 1e-9) + 1e-9;
        for (value, again) in values.iter().zip(back) {
            prop_assert!(value.is_nan() && again.is_nan() || (value - again).abs() <= half);
        }
    }

    #[test]
    fn escaped_text_holds_no_markup(text in any::<String>()) {
        let escaped = escape(&text);
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        let svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"><text>{escaped}</text></svg>");
        prop_assert!(usvg::Tree::from_str(&svg, &options()).is_ok());
    }
}

/// Writes a report of simulated data to `NASCENT_REPORT_DEMO`, to be looked at: `scripts/check_report` does.
#[test]
#[ignore = "writes a report to be looked at"]
fn a_report_to_look_at() {
    let folder =
        std::env::var_os("NASCENT_REPORT_DEMO").map(PathBuf::from).expect("NASCENT_REPORT_DEMO names a folder");
    let cells = std::env::var("NASCENT_REPORT_CELLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let written = write(&folder, &content(cells, 300), &Options::default()).expect("written");
    println!("{}: {} bytes, {} figures", written.page.display(), written.page_bytes, written.figures.len());
}

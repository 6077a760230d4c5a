//! Content of a report from simulated data, with the truth in place of a fit.

use nascent::data::Column;
use nascent::embedding::Flow;
use nascent::pca::pca_dense;
use nascent::report::{
    Colouring, Content, Course, Curve, Embedding, Gene, Overall, Scale, Section, Table, Trust, Values, Verdict,
    subsample,
};
use nascent::simulate::{SimulateConfig, Simulation};
use nascent::stats::{pearson, percentile};
use ndarray::Array2;

use crate::simulate::{numbers, simulated, truth};

/// Of `cells` cells with two branches: an embedding of principal components, true times, velocities and curves.
pub(crate) fn content(cells: usize, genes: usize) -> Content {
    let config = SimulateConfig { cells, genes, branches: 2, seed: 3, ..SimulateConfig::default() };
    let simulation = simulated(&config);
    let time = numbers(&simulation.counts.obs, "true_t");
    let embedding = embedding(&simulation);
    let length: Vec<f64> = embedding
        .arrows
        .iter()
        .flat_map(|arrows| arrows.rows().into_iter().map(|a| f64::from(a[0].hypot(a[1]))))
        .collect();
    let (codes, categories) = groups(&simulation, "clusters");
    let numbers = |name: &str, values: Vec<f64>| Colouring {
        name: name.to_owned(),
        values: Values::Continuous { values, scale: Scale::Sequential },
    };
    let gene_cells = subsample(cells, 3_000);
    let genes = (0..genes).map(|g| gene(&simulation, &time, &gene_cells, g)).collect();
    let latent =
        Array2::from_shape_fn((cells, 3), |(c, k)| (0.3 * time[c] * (k + 1) as f64).sin() as f32 + noise(c * 3 + k));
    Content {
        title: "Simulated counts, two branches".to_owned(),
        version: "nascent 0.1.0".to_owned(),
        summary: [("Cells", cells.to_string()), ("Model", "truth".to_owned()), ("Seed", "3".to_owned())]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        settings: "seed = 3\n\n[model]\nkind = \"truth\"\n".to_owned(),
        overall: Overall {
            verdict: Verdict::Caution,
            text: "Most evidence supports the direction; one question is open.".to_owned(),
        },
        trust: trust(),
        cells: simulation.counts.obs.index.clone(),
        embedding: Some(embedding),
        colourings: vec![
            Colouring {
                name: "clusters".to_owned(),
                values: Values::Categorical { codes, categories, colours: Vec::new() },
            },
            numbers("latent_time", time.clone()),
            numbers("velocity_length", length),
        ],
        time: Some(time),
        latent: Some(latent),
        gene_cells,
        genes,
        losses: losses(),
        metrics: Table {
            columns: ["Measurement", "Value", "Unit"].map(str::to_owned).into(),
            rows: vec![["Rank correlation of times", "0.93", "–"].map(str::to_owned).into()],
        },
        sections: vec![Section {
            title: "Samples beside each other".to_owned(),
            text: vec!["Samples in obs[\"sample\"].".to_owned()],
            table: Table {
                columns: ["sample", "cosine"].map(str::to_owned).into(),
                rows: vec![["S1 & S2", "0.61"].map(str::to_owned).into()],
            },
            folded: Vec::new(),
        }],
    }
}

fn trust() -> Vec<Trust> {
    let line = |question: &str, value: &str, verdict, explanation: &str| Trust {
        question: question.to_owned(),
        value: value.to_owned(),
        verdict,
        explanation: explanation.to_owned(),
    };
    vec![
        line(
            "Is there enough unspliced RNA?",
            "24 % unspliced",
            Verdict::Good,
            "Between 10 and 40 % is usual for this kind of data.",
        ),
        line(
            "Do neighbouring cells agree?",
            "0.61 (median)",
            Verdict::Caution,
            "Directions of neighbours differ more than usual; look at the phase portraits of the leading genes.",
        ),
        line(
            "Is a gene explained better than its shuffled self?",
            "12 of 300 genes",
            Verdict::Bad,
            "For most genes the model does as well after the cells were shuffled.",
        ),
        line(
            "Does the direction agree with capture times?",
            "not measured",
            Verdict::Unknown,
            "No column with capture times was named.",
        ),
    ]
}

fn losses() -> Vec<Curve> {
    let curve = |name: &str, offset: f64| {
        let steps: Vec<f64> = (1..=120).map(f64::from).collect();
        let values = steps.iter().map(|s| offset + 90.0 * (-s / 14.0).exp() + 0.2 * (s * 1.7).sin()).collect();
        Curve { name: name.to_owned(), steps, values }
    };
    vec![curve("train", 10.0), curve("validation", 11.4)]
}

fn groups(simulation: &Simulation, name: &str) -> (Vec<i32>, Vec<String>) {
    match simulation.counts.obs.get(name) {
        Some(Column::Categorical { codes, categories, .. }) => {
            (codes.iter().map(|code| code.map_or(-1, u32::cast_signed)).collect(), categories.clone())
        }
        other => panic!("{name}: {other:?}"),
    }
}

/// Between -0.15 and 0.15, the same in every run.
fn noise(i: usize) -> f32 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    0.3 * ((mixed >> 40) as f32 / (1u64 << 24) as f32 - 0.5)
}

fn gene(simulation: &Simulation, time: &[f64], cells: &[usize], g: usize) -> Gene {
    let truth = truth(simulation);
    let simulated = &simulation.genes[g];
    let noisy = |layer: &Array2<f32>, salt: usize| -> Vec<f32> {
        cells.iter().map(|&c| layer[[c, g]] * (1.0 + noise(c * 977 + 2 * g + salt))).collect()
    };
    let (ms, mu) = (noisy(&truth.spliced, 0), noisy(&truth.unspliced, 1));
    let most = time.iter().copied().fold(0.0, f64::max);
    let course = |lineage: usize| {
        let t: Vec<f64> = (0..=120).map(|i| most * f64::from(i) / 120.0).collect();
        let states: Vec<_> = t.iter().map(|&t| simulated.curve(lineage).at(t).0).collect();
        Course {
            name: format!("lineage {}", lineage + 1),
            s: states.iter().map(|state| state.s).collect(),
            u: states.iter().map(|state| state.u).collect(),
            t,
        }
    };
    let to_f64 = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let r2 = pearson(&to_f64(&ms), &to_f64(&mu)).powi(2);
    let rank = percentile(&to_f64(&ms), 95.0) * (1.0 - r2).max(0.0);
    let rates = simulated.rates;
    Gene {
        name: simulation.counts.var.index[g].clone(),
        velocity: Some(cells.iter().map(|&c| truth.velocity[[c, g]]).collect()),
        ms,
        mu,
        course: vec![course(0), course(1)],
        statistics: [
            ("likelihood", rank),
            ("alpha", rates.alpha),
            ("beta", rates.beta),
            ("gamma", rates.gamma),
            ("r2", r2),
            ("permutation score", f64::NAN),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        rank,
        velocity_gene: Some(g % 7 != 6),
        why_not: if g % 7 == 6 { "r2 below 0.01".to_owned() } else { String::new() },
        ..Gene::default()
    }
}

fn embedding(simulation: &Simulation) -> Embedding {
    let truth = truth(simulation);
    let x = truth.spliced.mapv(f32::ln_1p);
    let pca = pca_dense(x.view(), 2).expect("more than two cells and genes");
    let mut points = pca.scores;
    for (i, value) in points.iter_mut().enumerate() {
        *value += noise(i) * 8.0;
    }
    // d ln(1 + s) / dt = (ds/dt) / (1 + s)
    let change = &truth.velocity / &truth.spliced.mapv(|s| 1.0 + s);
    let arrows = change.dot(&pca.components.mapv(|c| c as f32));
    let flow = flow(&points, &arrows);
    Embedding { basis: "PCA".to_owned(), points, arrows: Some(arrows), flow: Some(flow) }
}

/// Gaussian means of the arrows at 45 places along each side; none where fewer than 1.5 cells count.
fn flow(points: &Array2<f32>, arrows: &Array2<f32>) -> Flow {
    const SIDE: usize = 45;
    let axis = |k: usize| {
        let (lo, hi) = points.column(k).iter().fold((f32::MAX, f32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        (0..SIDE).map(|i| f64::from(lo) + f64::from(hi - lo) * i as f64 / (SIDE - 1) as f64).collect::<Vec<f64>>()
    };
    let (x, y) = (axis(0), axis(1));
    let width = (x[1] - x[0]).max(y[1] - y[0]);
    let [mut u, mut v] = [(); 2].map(|()| Array2::from_elem((SIDE, SIDE), f64::NAN));
    for (j, gy) in y.iter().enumerate() {
        for (i, gx) in x.iter().enumerate() {
            let (mut sum, mut weight) = ([0.0, 0.0], 0.0);
            for (point, arrow) in points.rows().into_iter().zip(arrows.rows()) {
                let far = ((f64::from(point[0]) - gx).powi(2) + (f64::from(point[1]) - gy).powi(2)) / width.powi(2);
                if far < 9.0 {
                    let w = (-far / 2.0).exp();
                    weight += w;
                    sum = [sum[0] + w * f64::from(arrow[0]), sum[1] + w * f64::from(arrow[1])];
                }
            }
            if weight > 1.5 {
                (u[[j, i]], v[[j, i]]) = (sum[0] / weight, sum[1] / weight);
            }
        }
    }
    Flow { x, y, u, v }
}

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, StandardNormal};

use super::settings::SimulateConfig;
use super::stream;
use crate::data::quantities::{
    TRUE_ALPHA, TRUE_ALPHA_OF, TRUE_BETA, TRUE_GAMMA, TRUE_PROGRAM, TRUE_T_OF, TRUE_T_OFF, TRUE_T_ON,
};
use crate::data::{Column, Frame};
use crate::kinetics::{Rates, State, solve, velocity};

/// What the lineages do with a gene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// On, then off, at the same times in every lineage.
    Shared,
    /// Silent until one lineage switches it on for good.
    Gain,
    /// On since the trunk, until one lineage switches it off.
    Loss,
    /// On since the trunk; each lineage takes it up or down to a rate of its own.
    Shift,
}

impl Program {
    const ALL: [Self; 4] = [Self::Shared, Self::Gain, Self::Loss, Self::Shift];

    /// The label in `var["true_program"]`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Gain => "gain",
            Self::Loss => "loss",
            Self::Shift => "shift",
        }
    }
}

/// A gene's rates and its course in every lineage.
#[derive(Clone, Debug, PartialEq)]
pub struct Gene {
    /// Rates while on; α is that of the trunk, or of the gaining lineage.
    pub rates: Rates,
    /// What the lineages do with it.
    pub program: Program,
    /// When it is first switched on, in the trunk or (the same α) in a lineage.
    pub t_on: f64,
    /// When it is switched off; NaN if that is not the same in every lineage.
    pub t_off: f64,
    /// Per lineage, the last change: when, and the α after it. `None` where the gene follows the trunk's program.
    pub changes: Vec<Option<(f64, f64)>>,
    curves: Vec<Curve>,
}

impl Gene {
    /// Draws gene number `index`.
    pub(super) fn draw(config: &SimulateConfig, index: usize) -> Self {
        let mut rng = stream(config.seed, "rates", index);
        let rates = Rates {
            alpha: log_normal(&mut rng, 2.0, 0.8),
            beta: log_normal(&mut rng, 0.8, 0.4),
            gamma: log_normal(&mut rng, 0.4, 0.4),
        };
        let program = draw_program(config, index);
        let mut rng = stream(config.seed, "switches", index);
        let from_start = rng.random_bool(0.4);
        // A gene that a lineage changes must be on before the lineages part.
        let latest = match program {
            Program::Shared => 0.6 * config.t_max,
            _ => 0.6 * config.t_branch(),
        };
        let t_on = latest * rng.random::<f64>();
        let t_on = if from_start { 0.0 } else { t_on };
        let on_for = config.t_max * rng.random_range(0.2..0.7);
        let changes = draw_changes(config, index, program, rates.alpha);
        let mut gene = Self { rates, program, t_on, t_off: f64::NAN, changes, curves: Vec::new() };
        match program {
            Program::Shared => (gene.t_on, gene.t_off) = early(config, index).unwrap_or((t_on, t_on + on_for)),
            Program::Gain => gene.t_on = gene.changes.iter().flatten().map(|&(t, _)| t).sum(),
            Program::Loss | Program::Shift => (),
        }
        let lineages = 0..config.branches;
        gene.curves = lineages.map(|at| gene.course(gene.changes[at])).collect();
        gene
    }

    /// The curve in lineage number `lineage`, from 0. All agree until the lineages part.
    ///
    /// # Panics
    /// If there is no such lineage.
    #[must_use]
    pub fn curve(&self, lineage: usize) -> &Curve {
        &self.curves[lineage]
    }

    fn course(&self, change: Option<(f64, f64)>) -> Curve {
        let on = (self.t_on, self.rates.alpha);
        let pieces = match (self.program, change) {
            (Program::Shared, _) => vec![on, (self.t_off, 0.0)],
            (Program::Gain, change) => change.into_iter().collect(),
            (Program::Loss | Program::Shift, change) => [Some(on), change].into_iter().flatten().collect(),
        };
        Curve::new(self.rates, &pieces)
    }
}

/// Switching times of a gene that is on since long ago, if this is one.
fn early(config: &SimulateConfig, index: usize) -> Option<(f64, f64)> {
    /// So long ago, in units of `t_max`, that the gene is in its steady state.
    const LONG_AGO: f64 = 5.0;
    let mut rng = stream(config.seed, "repressed", index);
    let chosen = rng.random::<f64>() < config.repressed;
    chosen.then(|| (-LONG_AGO * config.t_max, 0.5 * config.t_max * rng.random::<f64>()))
}

fn log_normal(rng: &mut ChaCha12Rng, median: f64, sd: f64) -> f64 {
    let z: f64 = StandardNormal.sample(rng);
    median * (sd * z).exp()
}

fn draw_program(config: &SimulateConfig, index: usize) -> Program {
    if config.branches == 1 {
        return Program::Shared;
    }
    let mut rng = stream(config.seed, "program", index);
    if rng.random::<f64>() >= config.lineage_genes {
        return Program::Shared;
    }
    [Program::Gain, Program::Loss, Program::Shift][rng.random_range(0..3)]
}

/// When and to which α each lineage changes the gene: in the first half of the lineage's own time.
fn draw_changes(config: &SimulateConfig, index: usize, program: Program, alpha: f64) -> Vec<Option<(f64, f64)>> {
    let mut rng = stream(config.seed, "changes", index);
    let chosen = rng.random_range(0..config.branches);
    let lineage = |at: usize| {
        let span = config.t_max - config.t_branch();
        let t = config.t_branch() + 0.5 * span * rng.random::<f64>();
        let shifted = log_normal(&mut rng, alpha, 0.8);
        match program {
            Program::Gain if at == chosen => Some((t, alpha)),
            Program::Loss if at == chosen => Some((t, 0.0)),
            Program::Shift => Some((t, shifted)),
            Program::Shared | Program::Gain | Program::Loss => None,
        }
    };
    (0..config.branches).map(lineage).collect()
}

/// The exact course of one gene under piecewise-constant transcription, from nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    rates: Rates,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    start: f64,
    alpha: f64,
    /// The state at `start`.
    state: State,
}

impl Curve {
    /// Solves piece by piece; `pieces` are `(start, alpha)` with rising starts.
    fn new(rates: Rates, pieces: &[(f64, f64)]) -> Self {
        let mut curve = Self { rates, pieces: Vec::with_capacity(pieces.len()) };
        for &(start, alpha) in pieces {
            let (state, _) = curve.at(start);
            curve.pieces.push(Piece { start, alpha, state });
        }
        curve
    }

    /// When transcription changes and the α from then on, in order of time; before the first there is none.
    pub(super) fn pieces(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> {
        self.pieces.iter().map(|piece| (piece.start, piece.alpha))
    }

    /// The gene's rates; α is that of none of the pieces in particular.
    pub(super) fn rates(&self) -> Rates {
        self.rates
    }

    /// State and its derivative at time `t`, in counts and counts per time.
    #[must_use]
    pub fn at(&self, t: f64) -> (State, State) {
        let Some(piece) = self.pieces.iter().rfind(|piece| piece.start <= t) else {
            return (State::default(), State::default());
        };
        let rates = Rates { alpha: piece.alpha, ..self.rates };
        let state = solve(t - piece.start, piece.state, rates);
        (state, velocity(state, rates))
    }
}

/// `var`: names and true parameters.
pub(super) fn table(config: &SimulateConfig, genes: &[Gene]) -> Frame {
    let mut var = Frame { index: (0..genes.len()).map(|g| format!("g{g}")).collect(), columns: Vec::new() };
    let numbers = |value: &dyn Fn(&Gene) -> f64| Column::Float(genes.iter().map(value).collect());
    var.set(TRUE_ALPHA.key(), numbers(&|gene| gene.rates.alpha));
    var.set(TRUE_BETA.key(), numbers(&|gene| gene.rates.beta));
    var.set(TRUE_GAMMA.key(), numbers(&|gene| gene.rates.gamma));
    var.set(TRUE_T_ON.key(), numbers(&|gene| gene.t_on));
    var.set(TRUE_T_OFF.key(), numbers(&|gene| gene.t_off));
    if config.branches == 1 {
        return var;
    }
    let codes = genes.iter().map(|gene| Some(gene.program as u32));
    let categories = Program::ALL.map(|program| program.label().to_owned());
    var.set(
        TRUE_PROGRAM.key(),
        Column::Categorical { codes: codes.collect(), categories: categories.to_vec(), ordered: false },
    );
    for lineage in 0..config.branches {
        // Without a change the rate is that of the trunk's program; a gene that another lineage gains has none.
        let alpha = |gene: &Gene| match (gene.program, gene.changes[lineage]) {
            (_, Some((_, alpha))) => alpha,
            (Program::Gain, None) => 0.0,
            (_, None) => gene.rates.alpha,
        };
        let time = |gene: &Gene| gene.changes[lineage].map_or(f64::NAN, |(t, _)| t);
        var.set(&TRUE_ALPHA_OF.named(&(lineage + 1).to_string()), numbers(&alpha));
        var.set(&TRUE_T_OF.named(&(lineage + 1).to_string()), numbers(&time));
    }
    var
}

//! What can be set of [`super::adam`].

/// How parameters are drawn towards zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WeightDecay {
    /// They are not.
    #[default]
    None,
    /// λ: `λ p` is added to the gradient, before the moments (`torch.optim.Adam(weight_decay=λ)`).
    L2(f64),
    /// λ: `η λ p` is taken from the parameter (`torch.optim.AdamW(weight_decay=λ)`).
    Decoupled(f64),
}

/// Constants of Adam. The defaults are `PyTorch`'s (burn's own ε is 1e-5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConstants {
    /// β₁: share of the first moment that is kept per step, in [0, 1).
    pub beta_1: f64,
    /// β₂: share of the second moment that is kept per step, in [0, 1).
    pub beta_2: f64,
    /// ε: added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: WeightDecay,
}

impl Default for AdamConstants {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: WeightDecay::None }
    }
}

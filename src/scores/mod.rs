//! How far velocities may be believed: confidence, reconstructability, agreement with what is known.

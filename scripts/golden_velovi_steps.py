"""Writes tests/golden/velovi_steps.json: what scvi-tools' VELOVAE makes of given weights, data and noise in ten training steps.

    VELOVI_STEPS=input.json cargo test --lib writes_the_input_of_the_script -- --ignored
    python scripts/golden_velovi_steps.py input.json        # needs scvi-tools 1.2.0

In double precision, with VELOVI.train's AdamW (step size 0.01, decay 0.01, epsilon 0.01) and gradients clipped at 4.5,
which some of these exceed. The draws of
z and of dropout are the input's; PyTorch's draws of the states' weights, whose noise cannot be set, give way to the transformation
of the input's noise that src/nn/dirichlet.rs describes. The 1e-6 that the kinetics add to gamma - beta is left out, except in
"gamma_gradient_as_shipped".
"""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import torch
import torch.nn as nn
from scvi.external.velovi import _module
from torch.distributions import Dirichlet, Normal

torch.set_default_dtype(torch.float64)
BOOST, SMALLEST_ROOT, LEAST_LN_WEIGHT = 4, 1e-3, -15.942385
LAYERS = {
    "encoder.block": "z_encoder.encoder.fc_layers.Layer 0",
    "decoder.course.block": "decoder.rho_first_decoder.fc_layers.Layer 0",
    "decoder.block": "decoder.pi_first_decoder.fc_layers.Layer 0",
}
LINEAR = {
    "encoder.mean": "z_encoder.mean_encoder",
    "encoder.variance": "z_encoder.var_encoder",
    "decoder.course.rho": "decoder.px_rho_decoder.0",
    "decoder.course.tau": "decoder.px_tau_decoder.0",
    "decoder.concentration": "decoder.px_pi_decoder",
}
RATES = {"alpha": "alpha_unconstr", "beta": "beta_mean_unconstr", "gamma": "gamma_mean_unconstr", "switch": "switch_time_unconstr"}
NORM = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_var": "running_var"}

given = json.loads(Path(sys.argv[1]).read_text())
N_CELLS, N_VARS = given["n_cells"], given["n_vars"]
array = lambda values, *shape: torch.tensor(np.array(values, dtype=float).reshape(shape))


class Given:
    """The noise of the present step."""

    step = None


class Masked(nn.Module):
    def forward(self, h):
        return h * array(Given.step["mask"], *h.shape)


def normal_draw(self, sample_shape=torch.Size()):
    return self.loc + self.scale * array(Given.step["z"], *self.loc.shape)


def state_draw(self, sample_shape=torch.Size()):
    a = self.concentration
    # The noise lies state by state, [cells, states, genes].
    noise = lambda values: array(values, N_CELLS, 4, N_VARS).transpose(1, 2)
    first, second = map(noise, Given.step["normals"])
    d = a + (BOOST - 1 / 3)
    c = (9 * d).rsqrt()
    with torch.no_grad():
        v = (c * first + 1).clamp_min(SMALLEST_ROOT) ** 3
        e = torch.where(noise(Given.step["ln_accept"]) < 0.5 * first**2 + d - d * v + d * v.log(), first, second)
    ln_z = d.log() + 3 * (c * e + 1).clamp_min(SMALLEST_ROOT).log()
    for i, ln_uniform in enumerate(Given.step["ln_uniforms"]):
        ln_z = ln_z + noise(ln_uniform) / (a + i)
    return (ln_z - ln_z.logsumexp(-1, keepdim=True)).clamp_min(LEAST_LN_WEIGHT).exp()


Normal.rsample, Dirichlet.rsample = normal_draw, state_draw


def by_state(values):
    """From gene by gene, four states each, to state by state, along the last axis."""
    return np.moveaxis(values.reshape(*values.shape[:-1], N_VARS, 4), -1, -2).reshape(values.shape)


def by_gene(values):
    return np.moveaxis(values.reshape(*values.shape[:-1], 4, N_VARS), -1, -2).reshape(values.shape)


def tensors(module):
    """(name here, name in scvi-tools, from theirs to ours, from ours to theirs) of every parameter and running statistic."""
    same = lambda values: values
    for ours, theirs in LAYERS.items():
        yield f"{ours}.linear.weight", f"{theirs}.0.weight", np.transpose, np.transpose
        yield f"{ours}.linear.bias", f"{theirs}.0.bias", same, same
        for field, name in NORM.items():
            yield f"{ours}.norm.{field}", f"{theirs}.1.{name}", same, same
    for ours, theirs in LINEAR.items():
        states = ours.endswith("concentration")
        to, back = (by_state, by_gene) if states else (same, same)
        yield f"{ours}.weight", f"{theirs}.weight", lambda v, to=to: to(v.T), lambda v, back=back: back(v).T
        yield f"{ours}.bias", f"{theirs}.bias", to, back
    for ours, theirs in RATES.items():
        yield f"rates.{ours}", theirs, same, same
    # Of the four columns of the variances, scvi-tools uses the first.
    for part, ours in ((slice(0, N_VARS), "variance_u"), (slice(N_VARS, None), "variance_s")):
        yield f"rates.{ours}", "scale_unconstr", lambda v, part=part: v[part, 0], None
    yield "top_u", "switch_unspliced", same, same
    yield "top_s", "switch_spliced", same, same


module = _module.VELOVAE(
    n_input=N_VARS,
    n_hidden=given["hidden"],
    n_latent=given["n_latent"],
    switch_unspliced=np.array(given["values"]["top_u"]),
    switch_spliced=np.array(given["values"]["top_s"]),
)
module.z_encoder.encoder.fc_layers[0][4] = Masked()
state = module.state_dict()
for ours, theirs, _, back in tensors(module):
    values = np.array(given["values"][ours], dtype=float)
    if back is None:
        rows = slice(0, N_VARS) if ours.endswith("_u") else slice(N_VARS, None)
        state[theirs][rows] = array(values, N_VARS, 1)
        continue
    shape = tuple(state[theirs].shape)
    if len(shape) == 2:
        values = values.reshape(shape[::-1])
    state[theirs] = torch.tensor(np.ascontiguousarray(back(values)))
module.load_state_dict(state)
known = {theirs for _, theirs, _, _ in tensors(module)}
left = {name for name in state if name not in known and "num_batches" not in name}
assert left == {"alpha_1_unconstr", "lambda_alpha_unconstr", "decoder.linear_scaling_tau", "decoder.linear_scaling_tau_intercept"}, left

numbers = lambda values: [float(f"{value:.9g}") for value in np.ravel(values)]


def values_now():
    state = module.state_dict()
    return {ours: numbers(to(state[theirs].numpy())) for ours, theirs, to, _ in tensors(module)}


u, s = array(given["u"], N_CELLS, N_VARS), array(given["s"], N_CELLS, N_VARS)
batch = {"X": s, "U": u}
kl_weight = given["epoch"] / 400
parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(parameters, lr=1e-2, eps=1e-2, weight_decay=1e-2)
module.train()
shipped = [module._get_induction_unspliced_spliced, module._get_repression_unspliced_spliced]
exact = [lambda *inputs, of=of: of(*inputs, eps=0.0) for of in shipped]


def use(kinetics):
    module._get_induction_unspliced_spliced, module._get_repression_unspliced_spliced = kinetics


golden = {"source": "scvi-tools 1.2.0, PyTorch " + torch.__version__.split("+")[0] + ", double precision; scripts/golden_velovi_steps.py", "losses": []}
Given.step = given["steps"][0]
start = {name: values.clone() for name, values in module.state_dict().items()}
module(batch, loss_kwargs={"kl_weight": kl_weight})[2].loss.backward()
golden["gamma_gradient_as_shipped"] = numbers(module.gamma_mean_unconstr.grad.numpy())
module.load_state_dict(start)  # the running statistics
use(exact)
for step, Given.step in enumerate(given["steps"]):
    inference, generative, loss = module(batch, loss_kwargs={"kl_weight": kl_weight})
    optimizer.zero_grad()
    loss.loss.backward()
    golden["losses"].append(float(loss.loss))
    if step == 0:
        nll = -(generative["mixture_dist_u"].log_prob(u) + generative["mixture_dist_s"].log_prob(s))
        kl_z = torch.distributions.kl_divergence(Normal(inference["qzm"], inference["qzv"].sqrt()), Normal(0, 1)).sum(1)
        golden["loss"] = {
            "total": float(loss.loss),
            "nll": float(nll.sum(1).mean()),
            "kl_states": float((loss.kl_local["kl_local"] - kl_z).mean()),
            "kl_z": float(kl_z.mean()),
            "switch_penalty": float(generative["end_penalty"]),
        }
        golden["nll_per_gene"] = numbers(nll.mean(0).detach())
        gradient = {name: parameter.grad for name, parameter in module.named_parameters()}
        golden["gradients"] = {
            ours: numbers(to(gradient[theirs].numpy())) for ours, theirs, to, _ in tensors(module) if gradient.get(theirs) is not None
        }
    golden["norm"] = golden.get("norm", []) + [float(torch.nn.utils.clip_grad_norm_(parameters, 4.5))]
    optimizer.step()
    if step in (0, 9):
        golden[f"after_{step + 1}"] = values_now()

path = Path(__file__).parents[1] / "tests/golden/velovi_steps.json"
path.write_text(json.dumps(golden) + "\n")
print(path, golden["loss"], "gradient norms", np.round(golden["norm"], 2))

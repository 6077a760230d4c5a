"""The training step of benches/train_step.rs in PyTorch: one JSON line, same fields.

    python bench_torch.py [GENES] [CELLS] [STEPS] [THREADS] [fused-adam]

Same network, initial rates, data, likelihood and optimiser constants. The kinetics are the usual
formula with a guarded quotient; the program's own is written to be accurate for gamma near beta too.
"""

import json
import math
import resource
import sys
import time

import torch
from torch import nn

words = sys.argv[1:]
numbers = [int(word) for word in words if word.isdigit()]
n_genes, n_cells, n_steps, n_threads = numbers + [2000, 128, 100, 1][len(numbers):]
torch.set_num_threads(n_threads)
torch.manual_seed(7)


def block(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.LeakyReLU(0.01), nn.Dropout(0.2))


def draw(mean, log_var):
    sample = mean + (log_var * 0.5).exp() * torch.randn_like(mean)
    kl = (mean.square() + log_var.exp() - log_var - 1.0).sum(1).mean() * 0.5
    return sample, kl


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(block(2 * n_genes, 500), block(500, 250))
        self.time = nn.ModuleList([nn.Linear(250, 1) for _ in range(2)])
        self.state = nn.ModuleList([nn.Linear(250, 5) for _ in range(2)])
        self.decoder = nn.Sequential(block(5, 250), block(250, 500), nn.Linear(500, n_genes))
        self.log_alpha, self.log_beta, self.log_gamma = (
            nn.Parameter(mean + 0.2 * torch.randn(1, n_genes)) for mean in (0.5, 0.0, -0.3)
        )

    def forward(self, x, u, s, scaling, sigma_u, sigma_s):
        hidden = self.encoder(x)
        t, kl_time = draw(*(head(hidden) for head in self.time))
        state, kl_state = draw(*(head(hidden) for head in self.state))
        tau = nn.functional.softplus(t)
        alpha = self.log_alpha.exp() * torch.sigmoid(self.decoder(state))
        beta, gamma = self.log_beta.exp(), self.log_gamma.exp()

        exp_beta, exp_gamma = torch.exp(-tau * beta), torch.exp(-tau * gamma)
        gap = gamma - beta
        near = gap.abs() < 1e-3
        phi = torch.where(near, tau * exp_beta, (exp_beta - exp_gamma) / torch.where(near, 1.0, gap))
        u_hat = alpha / beta * (1.0 - exp_beta)
        s_hat = alpha / gamma * (1.0 - exp_gamma) - alpha * phi
        z_u, z_s = (u - scaling * u_hat) / sigma_u, (s - s_hat) / sigma_s
        constant = (sigma_u.log() + sigma_s.log() + math.log(2.0 * math.pi)).sum()
        nll = 0.5 * (z_u.square() + z_s.square()).sum() / n_cells + constant
        return nll + kl_time + kl_state


network = Network()
adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused="fused-adam" in words)
constants = torch.full([n_genes], 1.0), torch.full([n_genes], 0.37), torch.full([n_genes], 0.37)
batches = []
for _ in range(8):
    u, s = torch.rand(n_cells, n_genes) * 2.0, torch.rand(n_cells, n_genes) * 2.0
    batches.append((torch.cat([u, s], 1), u, s))

WARM_UP = 5
for step in range(WARM_UP + n_steps):
    if step == WARM_UP:
        cpu, wall = time.process_time(), time.perf_counter()
    adam.zero_grad(set_to_none=True)
    loss = network(*batches[step % 8], *constants)
    loss.backward()
    adam.step()
    last = loss.item()
result = {
    "cpu_ms": (time.process_time() - cpu) / n_steps * 1e3,
    "wall_ms": (time.perf_counter() - wall) / n_steps * 1e3,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "loss": last,
}
print(json.dumps(result))

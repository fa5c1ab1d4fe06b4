"""Other toolkits over the same nets, samples and optimiser.

None is a dependency: they run where they are installed.

torchgan's own trainer is driven batch by batch: `train_iter` and its mid-epoch log, the body of its
`train`. One of its steps draws the generator twice, moves the generator first, adds up the squares
of every layer's gradient and waits for each, and for two losses. `restated` makes the same passes
in our own words, for where it is not installed.
"""

import contextlib
import io
from functools import partial

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.contestants import Contestant, converted
from benchmarks.draws import Draws, in_order
from benchmarks.nets import tutorial_critic, tutorial_generator
from benchmarks.served import samples


def scoring(task, start: Contestant):
    """Build the tutorial's networks with a composed run's weights; the critic returns logits."""
    # without the sigmoid
    generator = tutorial_generator(task)
    critic = tutorial_critic(task)[:-1]
    for own, other in ((generator, start.generator), (critic, start.critic)):
        own.load_state_dict(converted(other.state_dict(), own.state_dict()))
    return generator, critic


def torchgan(task, folder, start: Contestant) -> Contestant:
    """Return torchgan's trainer as a contestant.

    Raises ImportError, with the reason, where it cannot be had.
    """
    try:
        from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
        from torchgan.models import Discriminator, Generator
        from torchgan.trainer import Trainer
    except Exception as error:  # an old package may fail in any way
        raise ImportError(f"torchgan: {type(error).__name__}: {error}") from error
    own_generator, own_critic = scoring(task, start)

    class Made(Generator):
        """The tutorial's generator under torchgan's name."""

        def __init__(self):
            super().__init__(task.latent)
            self.net = own_generator

        def forward(self, z):
            return self.net(z[..., None, None])

    class Judge(Discriminator):
        """The tutorial's critic under torchgan's name."""

        def __init__(self):
            super().__init__(task.shape[0])
            self.net = own_critic

        def forward(self, images):
            return self.net(images).view(-1)

    adam = {"name": torch.optim.Adam, "args": {"lr": task.lr, "betas": task.betas}}
    models = {
        "generator": {"name": Made, "optimizer": adam},
        "discriminator": {"name": Judge, "optimizer": adam},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = Trainer(
            models,
            [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
            device=torch.device("cpu"),
            checkpoints=str(folder / "torchgan"),
            recon=str(folder),
            log_dir=str(folder),
        )
    trainer.batch_size = task.batch

    def steps():
        for reals in in_order(samples(task.shape), task.batch):
            trainer.real_inputs = reals
            names = (
                "generator_losses",
                "discriminator_losses",
                "generator_iters",
                "discriminator_iters",
            )
            for name, found in zip(names, trainer.train_iter(), strict=True):
                trainer.loss_information[name] += found
            trainer.logger.run_mid_epoch(trainer)
            yield

    return Contestant("torchgan", partial(next, steps()), own_generator, own_critic)


def restated(task, start: Contestant) -> Contestant:
    """Return torchgan's order and number of passes, written anew."""
    generator, critic = scoring(task, start)
    adam = partial(torch.optim.Adam, lr=task.lr, betas=task.betas)
    optimizers = adam(generator.parameters()), adam(critic.parameters())
    draws = Draws(task)
    losses = []
    norms = []

    def fakes(step, role):
        return generator(draws.latents(step, role, 0)[..., None, None])

    def log_norms(net):
        norms.append(sum((weight.grad**2).sum().item() for weight in net.parameters()))

    def steps():
        for step, reals in enumerate(in_order(samples(task.shape), task.batch)):
            optimizers[0].zero_grad()
            fake = critic(fakes(step, "generator")).view(-1)
            loss = binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
            loss.backward()
            optimizers[0].step()
            losses.append(loss.item())
            log_norms(generator)

            optimizers[1].zero_grad()
            real = critic(reals).view(-1)
            fake = critic(fakes(step, "critic").detach()).view(-1)
            loss = binary_cross_entropy_with_logits(real, torch.ones_like(real))
            loss = loss + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
            loss.backward()
            optimizers[1].step()
            losses.append(loss.item())
            log_norms(critic)
            yield

    return Contestant("restated torchgan", partial(next, steps()), generator, critic)

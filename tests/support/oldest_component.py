"""A component of the first version of the hooks: every hook, with every argument that it had.

It stands for the plugins that are published. A change that this file does not survive breaks them:
raise `gancore.hookspecs.OLDEST_API` then, and say so in the changelog. Never edit it to make a test
pass.
"""

from gancore import component, hookimpl, option


@component(source="the hooks of version 1", api=1)
class Oldest:
    """Implement every hook, and leave everything as it is."""

    path: str = option("", help="the file that `recognizes` fits")

    @hookimpl
    def recognizes(self, path):
        return None

    @hookimpl
    def make_data(self, spec):
        return None

    @hookimpl
    def describe_data(self):
        return None

    @hookimpl
    def adapt_data(self, data, spec):
        return None

    @hookimpl
    def latent_width(self, plan):
        return None

    @hookimpl
    def draw_latent(self, n, plan, rng):
        return None

    @hookimpl
    def draw_labels(self, n, real_labels, plan, rng):
        return None

    @hookimpl
    def generator_inputs(self, plan):
        return None

    @hookimpl
    def critic_shape(self, shape, plan):
        return None

    @hookimpl
    def make_generator(self, plan):
        return None

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        return None

    @hookimpl
    def make_norm(self, channels, role, plan):
        return None

    @hookimpl
    def make_critic(self, plan):
        return None

    @hookimpl
    def make_score(self, features, plan):
        return None

    @hookimpl
    def extend_critic(self, features, plan):
        return None

    @hookimpl
    def extend_player(self, role, plan):
        return None

    @hookimpl
    def adapt_generator(self, net, plan):
        return None

    @hookimpl
    def adapt_critic(self, net, plan):
        return None

    @hookimpl
    def initialize(self, net, role, plan, rng):
        return None

    @hookimpl
    def schedule(self, step, rng):
        return None

    @hookimpl
    def adapt_schedule(self, updates, step):
        return None

    @hookimpl
    def make_optimizer(self, params, role):
        return None

    @hookimpl
    def learning_rate(self, rate, step, role):
        return None

    @hookimpl
    def before_step(self, gan, step):
        return None

    @hookimpl
    def skip_update(self, role, terms, step):
        return None

    @hookimpl
    def after_critic_update(self, gan, batch, step):
        return None

    @hookimpl
    def after_generator_update(self, gan, batch, step):
        return None

    @hookimpl
    def after_step(self, gan, step):
        return None

    @hookimpl
    def critic_fakes(self, images, labels, step, rng):
        return None

    @hookimpl
    def critic_view(self, images, labels, step, rng, shared_rng):
        return None

    @hookimpl
    def critic_targets(self, targets, real, step, rng, shared_rng):
        return None

    @hookimpl
    def sample_weights(self, weights, batch, rng):
        return None

    @hookimpl
    def critic_terms(self, batch, step, rng, log):
        return None

    @hookimpl
    def generator_terms(self, batch, step, rng, log):
        return None

    @hookimpl
    def sampling_generator(self, net):
        return None

    @hookimpl
    def select_samples(self, images, z, labels, gan, rng):
        return None

    @hookimpl
    def measure(self, progress, rng):
        return None

    @hookimpl
    def record(self, row):
        return None

    @hookimpl
    def draw(self, progress, folder):
        return None

    @hookimpl
    def stop(self, row):
        return None

"""Write checkpoints, verify them, and resume from them.

A checkpoint is a folder `checkpoints/step-000001200/` of a run:

    generator, critic .safetensors    weights and buffers of the networks
    optim.safetensors                 state of the optimizers, by the name of the weight
    components.safetensors            tensors of components' `state()` fields, as COMPONENT/FIELD
    state.json                        step and counters, the rest of all state, name, type and shape of every tensor
    manifest.json                     format, step, size of every file, plugins and versions
    SHA256SUMS                        SHA-256 of every file above

**Saving** writes in this order. `policy.py` syncs the log and copies everything to the CPU (`state.py`, and for
components `component_state.py` and `nested.py`). `writer.py` makes a temporary folder, writes the four files of
tensors, state.json, manifest.json and SHA256SUMS, each synced to disk, and renames the folder to its final name. Until
the rename there is no checkpoint; after it the checkpoint is complete. Then the hint `latest` is replaced, and
checkpoints that are not to be kept are removed.

**Resuming** (`gan run --resume RUN`) reads in this order:

1. `recipe.toml`, from which the components are loaded, the data opened and the networks built, as for a new run;
2. the newest checkpoint that verifies (`reader.py`): SHA256SUMS, manifest.json, then every file against its size, its
   sum and its format (`verified.py`, `schema.py`, `safetensors_header.py`), then the tensors against the table in
   state.json (`tensor_table.py`). A damaged checkpoint is passed over with a note, and the one before it is tried;
3. the facts in state.json against the present: fingerprint of the data, the recipe (`resume_checks.py`), the versions
   of the plugins (`plugins.py`);
4. everything stored against what is there now, before anything is changed (`compare.py`, `optimizer_state.py`,
   `component_state.py`): names, shapes and types;
5. then all is restored: components, networks, optimizers, loss scales, step and batch counters. Random numbers need no
   state of their own: they follow from the seed, the step and the attempt;
6. `metrics.jsonl`, from which the rows after the checkpoint are cut.
"""

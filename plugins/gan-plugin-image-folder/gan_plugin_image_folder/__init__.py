"""Images from a folder: the component `image-folder` and the command `gan data check`.

From `--data FOLDER` to a batch, module by module:

1. `component` holds the options; its hook `make_data` calls what follows, in this order.
2. `scan` lists the image files below FOLDER without opening one, into a `file_index`;
   `exclude_list` reads the names to leave out (`leave-out`).
3. `labels.find` looks for a labels file. If there is one, `labels.read_table` parses it (CSV or
   JSON) into a `labels.table`, `labels.columns` chooses the columns that are label sets, and
   `labels.rows` matches rows to files. Else `labels.class_folders` takes the sub-folders.
4. `storage.load` opens the cache file of these files and options, if it is up to date:
   `storage.cache_file` names it, `storage.cache_reader` verifies and maps it.
5. Else `decode.decode_all` reads all headers (`decode.image_file`), chooses one shape
   (`decode.target_size`), and decodes in a pool of threads (`decode.worker_pool`, `decode.pixels`).
   `decode.retry` repeats reads that fail for reasons of the disk, `decode.stderr_capture` keeps
   lines of C libraries off the terminal, `decode.report` lists the outcome for each file.
   Images go to a store: `storage.memory_store`, `storage.cache_writer`, or both
   (`storage.copying_store`).
6. `join` joins images and labels; `decode.duplicates` finds equal pixels, `labels.merge` merges
   their labels. The result is a `storage.dataset`, whose `take` returns the images of a batch.

`gan data check FOLDER` (`check.command`) decodes the same files one at a time (`check.examine`),
collects facts (`check.facts`), suggests options (`check.advice`), and prints them (`check.text`).

Values that several of these share are in `decode.decoded` and `labels.image_labels`; `names`
encodes and prints file names, `log` warns.
"""

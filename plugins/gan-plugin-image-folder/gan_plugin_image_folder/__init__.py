"""Images from a folder: read by the component `image-folder`, examined by `gan data check`."""

"""The deep validator behind ``$validate``: see `hilum.record.validation.whole`."""

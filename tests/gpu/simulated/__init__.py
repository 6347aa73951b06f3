"""A CUDA device that is not there: dispatch, shapes, strides, dtypes and devices are those of a GPU; no numbers.

A small library tells torch that it has CUDA, and FakeTensorMode computes what each operation would give without doing
it. So layouts and reads of the device are seen on every machine. It says nothing about time.
"""

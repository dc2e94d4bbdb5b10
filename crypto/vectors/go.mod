module hauberk.io/vectors

go 1.24

require github.com/geomys/acvp-testdata v0.0.0-20251201200548-d893de8b8b1c

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rule sets decide as a slow evaluator does, that was written from the docs
# alone: 20,000 random documents and requests from a fixed seed.  For more of
# them: make differential N=1000000.

use strict;
use warnings;

use FindBin;
use Test::More tests => 3;

my $out = qx($FindBin::Bin/../util/differential --pairs=20000 --seed=1 2>&1);

is($?, 0, 'no difference') or diag($out);
like($out, qr/^20000 pairs /m, 'all of them were compared');

# a test whose rules never hold would not say much

my ($holds, $not, $unjudged)
    = $out =~ /^verdicts: (\d+) hold, (\d+) do not, (\d+) cannot/m;

ok($holds > 10000 && $not > 10000 && $unjudged > 1000, 'verdicts of all kinds')
    or diag($out);

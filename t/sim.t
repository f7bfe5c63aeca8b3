#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rollouts by the thousand: good canaries are not rolled back, bad ones are, and
# soon, as the table of docs/statistics.md says.  And an engine that is broken
# on purpose, as t/sim/broken.c says, does not pass: for each fault there is a
# row that tells.  All of the table: make sim.

use strict;
use warnings;

use FindBin;
use Test::More;

plan(skip_all => 'is the same for every nginx') if $ENV{TEST_SANITIZER_LOG};

my $sim = "$FindBin::Bin/../util/sim --quick";

# the rows, by name, and whether they are as they must be

sub rows {
    my ($out) = @_;
    my %rows;

    while ($out =~ /^\| `([^`]+)` \|(.*)/mg) {
        $rows{$1} = index($2, '**missed**') < 0 ? 1 : 0;
    }

    return %rows;
}


my $out = qx($sim);
my %rows = rows($out);

is($?, 0, 'all that must be is') or diag($out);
cmp_ok(scalar keys %rows, '>', 10, 'of many kinds of rollouts');
ok($rows{$_}, $_) for sort keys %rows;


# what each fault does

my %faults = (
    floor     => [ 'a canary under the floor is rolled back', 'floor' ],
    restart   => [ 'what goes wrong after an hour takes long', 'late' ],
    threshold => [ 'canaries at the limit are rolled back', 'limit-1.25' ],
    late      => [ 'what hung in the step before counts in this', 'hanging',
                   'split-hanging' ],
    enough    => [ 'what is bad is promoted for lack of evidence', 'rare' ],
    keys      => [ 'one user is a hundred', 'sticky', 'split' ],
    others    => [ 'who comes from a third variant is new', 'split-of-three' ],
    blind     => [ 'users are lost, and nobody sees it', 'split-third-50' ],
);

for my $fault (sort keys %faults) {
    my ($what, @tell) = @{ $faults{$fault} };

    $out = qx($sim --break=$fault @tell);
    %rows = rows($out);

    is($? >> 8, 1, "$fault: $what") or diag($out);
    is_deeply(\%rows, { map { $_ => 0 } @tell }, "$fault: @tell: it tells")
        or diag($out);
}

# how long rollouts take, as docs/rollouts.md says

open my $docs, '<', "$FindBin::Bin/../docs/rollouts.md"
    or die "docs/rollouts.md: $!\n";
my ($table) = join('', <$docs>) =~ /^<!-- pace -->\n(.*?)^<!-- end of pace -->/ms;

is(qx($FindBin::Bin/../util/sim --pace), $table,
   'docs/rollouts.md: how long rollouts take');

# and rows that it has nothing to do with still hold

for my $fault ('late', 'keys') {
    $out = qx($sim --break=$fault half 8-times);

    is($?, 0, "$fault: what is bad is found all the same") or diag($out);
}

done_testing();

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Releases that were taken out of nginx.conf keep their place in a zone: a
# reload that finds none left is refused and names them, and they are gone
# with another size of the zone.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;


sub text {
    my ($zone, @names) = @_;

    my $releases = join '',
        map { "gray_release $_ { zone gray; hash \$arg_uid;"
              . " variant stable; variant canary weight=10%; }\n" } @names;

    return <<"END";
http {
    gray_zone gray $zone;
    $releases
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { return 200 \$gray_$names[0]; }
        location /gray/ { gray_admin; }
    }
}
END
}


sub reload {
    my ($title, @text) = @_;

    $t->config(text(@text));
    ok($t->reload, $title);
}


# what the status says: releases with their revisions, and who was taken out

sub known {
    my $status = $t->api('GET', '/gray/status')->{json};

    return join ' ', (map { "$_->{release}:$_->{revision}" }
                      @{ $status->{releases} }),
                     '-', sort @{ $status->{zones}[0]{undeclared} };
}


# what nginx asks for

sub needed {
    my ($stats, @names) = @_;
    my (undef, $said) = $t->test_config(text("32k stats=$stats", @names));

    return $said =~ /too small, it needs (\d+)k for what is declared$/m
           ? $1 : $said;
}


sub refusal {
    my ($needed, @names) = @_;

    my $text = "gray_zone \"gray\" is too small, it needs ${needed}k for what is "
               . 'declared and for releases that were taken out: '
               . join(', ', map { "\"$_\"" } @names) . '; with any other size, '
               . 'and after a restart, these are left out';

    return qr/^\Q$text\E$/;
}


# a zone that has room for 7, with counters and without

my @kept = qw(k1 k2 k3);
my @all = qw(a1 a2 a3 a4);

for my $stats ('off', 'on') {
    my $seven = needed($stats, @kept, @all) . "k stats=$stats";
    my $five = needed($stats, @kept, 'a2', 'b1') . "k stats=$stats";
    my $eight = needed($stats, @kept, @all, 'b1');

    like($seven, qr/^\d+k/, "seven releases, stats=$stats");

    $t->config(text($seven, @all))->start;

    is($t->api('PATCH', '/gray/releases/a2',
               { variants => { canary => { weight => 100 } } })->{status},
       200, 'changed');

    reload('four go and three come', $seven, @kept);
    is(known(), "k1:1 k2:1 k3:1 - @all", 'seven are in the zone');

    is($t->api('PATCH', '/gray/releases/k1',
               { variants => { canary => { weight => 20 } } })->{status},
       200, 'one of them is changed');

    # the size that nginx -t names where all are declared

    my ($status, $said) = $t->test_config(text($seven, @all, @kept, 'b1'));

    like($said, qr/too small, it needs ${eight}k for what is declared$/m,
         'eight are too many');

    ($status, $said) = $t->test_config(text($seven, @kept, 'b1'));
    is($status, 0, 'four are not, by themselves') or diag($said);

    for my $round (1, 2) {
        $t->config(text($seven, @kept, 'b1'));
        ok($t->reload(refused => refusal($eight, @all)),
           'no place: refused, and the four are named');
    }

    is(known(), "k1:2 k2:1 k3:1 - @all", 'nothing has changed');

    # who comes back has a place, and what it was

    reload('one comes back', $seven, @kept, 'a2');
    is(known(), 'k1:2 k2:1 k3:1 a2:2 - a1 a3 a4', 'as it was');

    $t->config(text($seven, @kept, 'a2', 'b1'));
    ok($t->reload(refused => refusal($eight, qw(a1 a3 a4))),
       'no place still: the other three are named');

    # another size, even a smaller one

    for my $size ($five, $seven) {
        reload("a zone of $size", $size, @kept, 'a2', 'b1');
        is(known(), 'k1:2 k2:1 k3:1 a2:2 b1:1 -', 'is without the others');
    }

    reload('two come back', $seven, @kept, 'a2', 'b1', 'a1', 'a3');
    is(known(), 'k1:2 k2:1 k3:1 a2:2 b1:1 a1:1 a3:1 -', 'as declared');

    $t->stop;
}


# more names than a line of the log has room for

my @long = map { sprintf "%s%02d", 'n' x 25, $_ } 1 .. 30;

$t->config(text('5m stats=off', @long))->start;
$t->config(text('5m stats=off', map { "m$_" } 1 .. 30));
ok($t->reload(refused => qr/out: "n+\d\d"(, "n+\d\d")+ and more, 30 in all;/),
   'some of them, whole, and how many there are');

$t->done;

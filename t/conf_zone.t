#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A zone that is too small is refused with the size that suffices: with that
# size nginx starts, with the next smaller one it is refused again.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;


# releases, document=, and a size that is too small for them; where there are
# counters, workers and variants

my @cases = (
    [ 1, '1k', '32k' ],
    [ 5, '1k', '32k' ],
    [ 1, '2000', '32k' ],
    [ 1, '', '64k' ],
    [ 3, '', '256k' ],
    [ 40, '64k', '1m' ],
    [ 2, '1m', '2m' ],
    [ 500, '4k', '1m' ],
    [ 1, '1k', '32k', 1, 1 ],
    [ 1, '1k', '32k', 1, 2 ],
    [ 3, '', '256k', 2, 2 ],
    [ 3, '', '256k', 3, 5 ],
    [ 40, '64k', '1m', 2, 2 ],
    [ 2, '1m', '2m', 4, 2 ],
    [ 2, '1k', '1m', 20, 32 ],
);


sub text {
    my ($size, $document, $count, $workers, $variants) = @_;

    my $http = "gray_zone z $size"
               . ($document ? " document=$document" : '')
               . ($workers ? ";\n" : " stats=off;\n");

    $workers ||= 1;
    my $names = join '', map { " variant v$_;" } 1 .. ($variants || 2);

    $http .= "gray_release r$_ { zone z;$names }\n" for 1 .. $count;

    return <<"END";
worker_processes $workers;

http {
$http
    server {
        listen 127.0.0.1:%%PORT%%;
        return 200 "\$gray_r1 \$gray_r${count}_revision";
    }
}
END
}


# the size that nginx asks for

sub needed {
    my ($status, $said) = $t->test_config(text(@_));

    return 0 if $status == 0;
    return $1 if $said =~ /^nginx:[ ]\[emerg\][ ]gray_zone[ ]"z"[ ]is[ ]too
                           [ ]small,[ ]it[ ]needs[ ](\d+)k[ ]for[ ]what[ ]is
                           [ ]declared$/mx;
    return $said;
}


for my $case (@cases) {
    my ($count, $document, $small, @counters) = @$case;
    my $title = "$count of " . ($document || 'default size')
                . (@counters ? ", counters of @counters" : '');
    my @rest = ($document, $count, @counters);

    my $size = needed($small, @rest);

    # what fits is its own answer

    my $fits = $size ? $size : $small =~ /(\d+)k/ ? $1 : $small;

    like($fits, qr/^\d+$/, "$title: a size is named");

    if ($size) {
        is(needed(($size - 4) . 'k', @rest), $size,
           "$title: 4k less does not suffice");
    }

    $t->config(text("${fits}k", @rest))->start;

    like($t->get('/')->{body}, qr/^v1 1$/, "$title: ${fits}k suffice");

    # the same size once more, with everything in use

    ok($t->reload, "$title: reload");
    like($t->get('/')->{body}, qr/^v1 1$/, "$title: after a reload");

    $t->stop;
}

$t->done;

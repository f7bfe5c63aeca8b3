#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Memory for counters is that of the variants which nginx.conf had when it was
# made, and of one more.  What is declared beyond that is counted as "_other"
# until the zone gets another size; nothing is lost over that, and nothing is
# counted for the wrong variant.  What a refused configuration has left in the
# zone is used by releases for which it is of the right size, and by no others.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;

my $t = Test::Gray->new;

my @requests = 'nginx_gray_requests_total';


# releases with the variants that each has; each has an argument by its name

sub configure {
    my ($zone, $releases, $more) = @_;

    my $declared = '';
    my $locations = '';

    for my $name (sort keys %$releases) {
        my @variants = @{ $releases->{$name} };

        $declared .= "    gray_release $name {\n        zone gray;\n"
                   . "        hash \$arg_u;\n"
                   . join('', map { "        variant $_ backend;\n" }
                              @variants)
                   . join('', map { "        match $_ \$arg_v = $_;\n" }
                              @variants)
                   . "    }\n\n";

        $locations .= "        location /$name { proxy_pass http://$name/; }\n";
    }

    $more ||= '';

    return $t->config(<<"END");
worker_processes 2;

http {
    gray_zone gray $zone;

    upstream backend { server 127.0.0.1:%%PORT_backend%%; }

$declared
    server {
        listen 127.0.0.1:%%PORT%%;
        $more
$locations
        location = /metrics { gray_metrics; }
        location /gray/     { gray_admin; }
    }

    server {
        listen 127.0.0.1:%%PORT_backend%%;
        return 200;
    }
}
END
}


# what each variant of a release has by now, of those that have anything

sub counted {
    my ($name) = @_;

    my $metrics = scrape($t, '/metrics');
    my %counted;

    for my $series (series($metrics, @requests, release => $name)) {
        my ($variant) = $series =~ /(?:^|,)variant=([^,]*)/;

        $counted{$variant} += $metrics->{$requests[0]}{$series};
    }

    return { map { $_ => $counted{$_} } grep { $counted{$_} } keys %counted };
}


# so many requests for variants of a release

sub send_to {
    my ($name, %count) = @_;

    for my $variant (sort keys %count) {
        $t->get("/$name?v=$variant") for 1 .. $count{$variant};
    }
}


# requests are counted a moment after they are answered

sub counts {
    my ($title, $name, %expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    wait_until(sub { eq_hash(counted($name), \%expected) });
    is_deeply(counted($name), \%expected, $title);
}


sub free_of {
    return $t->api('GET', '/gray/status')->{json}{zones}[0]{free};
}


sub uncounted {
    my ($name) = @_;

    my ($release) = grep { $_->{release} eq $name }
                    @{ $t->api('GET', '/gray/status')->{json}{releases} };

    return $release->{uncounted} || 0;
}


# -- more variants than there is memory for

configure('2m', { app => [ qw(stable canary) ] })->start;

send_to('app', stable => 2, canary => 3);
counts('two variants', 'app', stable => 2, canary => 3);

configure('2m', { app => [ qw(stable canary third) ] });
ok($t->reload(gone => 1), 'a third one is declared');
send_to('app', canary => 1, third => 4);
counts('... and counted by its name', 'app',
       stable => 2, canary => 4, third => 4);
is(uncounted('app'), 0, '... as all are');

configure('2m', { app => [ qw(stable canary third fourth fifth) ] });
ok($t->reload(gone => 1), 'two more');
ok($t->wait_log(qr/"app" has memory for the statistics of 3 variants, 2 more are counted as "_other"; declare them in nginx\.conf, and change the zone's size/),
   '... for which there is no memory, the log says');
is(uncounted('app'), 2, '... and so does the status');
send_to('app', stable => 1, third => 1, fourth => 5, fifth => 6);
counts('... are counted as one, beside those of before', 'app',
       stable => 3, canary => 4, third => 5, _other => 11);

configure('3m', { app => [ qw(stable canary third fourth fifth) ] });
ok($t->reload(gone => 1), 'another size of the zone');
counts('... loses nothing', 'app',
       stable => 3, canary => 4, third => 5, _other => 11);
send_to('app', fourth => 2, fifth => 1);
counts('... and has memory for all', 'app', stable => 3, canary => 4,
       third => 5, fourth => 2, fifth => 1, _other => 11);
is(uncounted('app'), 0, '... the status says');

# back to a zone with less memory than what was counted has names

configure('2m', { app => [ qw(stable canary) ] });
ok($t->reload(gone => 1), 'two variants, and another size');

my $counted = counted('app');
my $sum = 0;

$sum += $_ for values %$counted;

is($sum, 26, '... loses nothing of the sum');
is($counted->{stable}, 3, '... nor of the baseline');
is($counted->{canary}, 4, '... nor of the canary');
send_to('app', stable => 1, canary => 2);
counts('... and goes on', 'app', %$counted, stable => 4, canary => 6);


# -- what is left by refused configurations

$t->stop;
configure('3m', { app => [ qw(stable canary) ] })->start;
send_to('app', stable => 1, canary => 2);
counts('a release', 'app', stable => 1, canary => 2);

my $free = free_of();
my @six = map { "v$_" } 1 .. 6;
my @bad = ('3m', { app => [ qw(stable canary) ], b => \@six },
           'listen 192.0.2.1:81;');

for my $n (1 .. 3) {
    configure(@bad);
    ok($t->reload(refused => qr/bind\(\) to/), "one of six variants: refused");
}

my $left = free_of();

cmp_ok($left, '<', $free, 'memory of its counters was made');
is_deeply(counted('b'), {}, '... and nothing is told of it');

# the name is the same, and there would be counters enough: others of another
# layout

configure('3m', { app => [ qw(stable canary) ], b => [ qw(stable canary) ] });
ok($t->reload(gone => 1), 'the same with two variants');

my $two = $left - free_of();

cmp_ok($two, '>', 0, '... has memory of its own');
send_to('b', stable => 3, canary => 4);
counts('... and counts', 'b', stable => 3, canary => 4);

$left = free_of();
configure('3m', { app => [ qw(stable canary) ], b => [ qw(stable canary) ],
                  c => \@six });
ok($t->reload(gone => 1), 'another one of six variants');
is(free_of(), $left, '... has what was left');
send_to('c', map { ("v$_" => $_) } 1 .. 6);
counts('... and counts', 'c', map { ("v$_" => $_) } 1 .. 6);
is(uncounted('c'), 0, '... all of them by name');

counts('the others have what they had', 'app', stable => 1, canary => 2);
counts('... both of them', 'b', stable => 3, canary => 4);

$t->done;

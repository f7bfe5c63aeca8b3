#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A database is truncated, overwritten and damaged in place, under load: no
# worker dies, no request fails, and the last good one goes on.

use strict;
use warnings;

use File::Copy ();
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::MMDB;
use Test::Gray::Process;
use Test::Gray::Running;

my $t = Test::Gray->new;
my $dir = $t->dir;


# large enough that what is cut off is pages that lookups need

srand(5);

my @networks = map { [ sprintf('%d.%d.%d.%d/32', map { 1 + int rand 220 }
                                                     1 .. 4) ] } 1 .. 8000;

for my $version ('a', 'b') {
    write_mmdb("$dir/$version", { bits => 32 },
        [ '0.0.0.0/0', { name => $version } ],
        map { [ $_->[0], { name => $version, country => {
                iso_code => "$version $_->[0]" } } ] } @networks);
}

my $size = -s "$dir/a";
cmp_ok($size, '>', 1000000, 'a database of some size');

File::Copy::copy("$dir/a", "$dir/used") or die "copy: $!\n";

$t->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone   gray 1m;
    gray_geoip  used;

    gray_release app {
        zone     gray;
        variant  none;
        variant  a;
        variant  b;
        match    a geo.name = a;
        match    b geo.name = b;
    }

    set_real_ip_from  127.0.0.1;
    real_ip_header    X-Real-IP;

    server {
        listen  127.0.0.1:%%PORT%%;
        location /  { return 200 "$pid $gray_app"; }
    }
}
END

my @workers = $t->workers;

my $load = $t->child(sub {
    my %count;
    my $stop = 0;

    $SIG{TERM} = sub { $stop = 1 };

    while (!$stop) {
        $count{ $_->{status} . ' ' . ($_->{body} =~ /(\w+)$/)[0] }++
            for $t->many(200, sub {
                my ($address) = split m{/}, $networks[rand @networks][0];
                return ('/', 'X-Real-IP' => $address);
            });
    }

    $t->write_file('count', join "\n", map { "$_: $count{$_}" }
                                           sort keys %count);
    POSIX::_exit(0);
});


sub said { my ($what) = @_; return scalar(() = $t->log =~ /$what/g); }

# overwrites the file as "cp" does

sub overwrite {
    my ($content, $mode) = @_;

    open my $fh, $mode || '>:raw', "$dir/used" or die "used: $!\n";
    print $fh $content;
    close $fh or die "used: $!\n";
}

sub all_say {
    my ($version) = @_;

    return wait_until(sub {
        my %said = map { $_->{body} => 1 }
                   $t->many(40, sub { return '/' }, per_connection => 2);
        return join(',', sort keys %said)
               eq join(',', map { "$_ $version" } sort @workers);
    });
}

ok(all_say('a'), 'the first version');

my $a = slurp("$dir/a");
my $b = slurp("$dir/b");
my $refused = 0;

my @damage = (
    [ 'truncated to nothing', '', 'is empty' ],
    [ 'cut in half', substr($a, 0, $size / 2), 'invalid metadata' ],
    [ 'zeros', "\0" x $size, 'invalid metadata' ],
    [ 'text', 'text ' x 1000, 'invalid metadata' ],
    [ 'without its tree', ("\xff" x ($size / 4)) . substr($a, $size / 4),
      'the search tree leads out of the file' ],
    [ 'half of another', substr($b, 0, $size / 2) . ("\xff" x ($size / 4))
                         . substr($b, $size / 2 + $size / 4), undef ],
);

for (@damage) {
    my ($name, $content, $why) = @$_;

    overwrite($content);

    $refused += @workers;
    ok(wait_until(sub { said('cannot be used') >= $refused }),
       "$name: refused");
    like($t->log, qr/stays in use: .*\Q$why\E/, "$name: why") if $why;
    ok(all_say('a'), "$name: the last good one goes on");
}

is(said('cannot be used'), $refused, 'each is logged once by each worker');


# another one, by cp; and written piece by piece

overwrite($b);
ok(all_say('b'), 'overwritten by another');

overwrite('');
overwrite($_, '>>:raw') for unpack '(a65536)*', $a;
ok(all_say('a'), 'written by pieces');


# changed all the time: left alone until that ends

my $running = Test::Gray::Running->new($t);
my $end = time + 3;

while (time < $end) {
    overwrite(substr $b, 0, 1 + rand $size);
    $t->get('/');
}

# a pause of a second would be an end, also one of the machine

cmp_ok(said('cannot be used'), '<=',
       $refused + @workers * (1 + 2 * $running->stood),
       'hardly a word while it is written');

overwrite($b);
ok(all_say('b'), 'and the result is taken');

$t->reap($load);

my %count = $t->read_file('count') =~ /^(.+): (\d+)$/mg;

is(join(', ', sort keys %count), '200 a, 200 b', 'all requests were decided')
    or diag(explain(\%count));

is_deeply([ $t->workers ], \@workers, 'no worker has died');

$t->done;

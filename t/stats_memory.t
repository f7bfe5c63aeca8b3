#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Memory is short at any allocation of an answer of releases/NAME/stats: it is
# whole, or it is a 503; and a reset that cannot be answered is one all the
# same.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'malloc() is not that of the system')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};
plan(skip_all => 'the module is a part of nginx')
    if Test::Gray->module eq '';
plan(skip_all => 'no cc') if (capture('cc', '--version'))[0] != 0;

my $t = Test::Gray->new;

my $library = $t->dir . '/malloc_fails.so';
my ($status, undef, $said) =
    capture(qw(cc -Wall -Wextra -Werror -shared -fPIC -o), $library,
            "$FindBin::Bin/lib/malloc_fails.c");

die $said if $status != 0;

my $fails = $t->dir . '/fails';
my $stats = '/gray/releases/app/stats';

$t->config(<<'END');
http {
    gray_zone gray 1m;

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant off;
        variant on weight=50%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location / { return 200 $gray_app; }
        location /gray/ { gray_admin; }
    }
}
END

{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{GRAY_MALLOC_FAILS} = $fails;
    local $ENV{GRAY_MALLOC_LIBRARIES} = 'libcjson';

    $t->start;
}


# the Nth allocation fails; returns the answer, and whether there was one

sub short {
    my ($n, $method, $path) = @_;

    open my $fh, '>', "$fails.new" or die "$fails.new: $!\n";
    print $fh $n;
    close $fh;
    chmod 0666, "$fails.new";
    rename "$fails.new", $fails or die "$fails: $!\n";

    my $response = $t->api($method, $path);
    my $count = () = slurp($fails) =~ /\./g;

    unlink $fails;

    return ($response, $count >= $n);
}


sub canary { return $t->api('GET', $stats)->{json}{variants}{on}{requests} }


$t->get("/?uid=$_") for 1 .. 20;
ok(wait_until(sub { canary() > 0 }), 'something is counted');

my ($worker) = $t->workers;
my $canary = canary();

for my $path ($stats, "$stats?window=60s") {
    my $whole = $t->api('GET', $path)->{json};
    my (%seen, $n);

    for ($n = 1; $n < 10000; $n++) {
        my ($response, $failed) = short($n, 'GET', $path);

        $seen{ $response->{status} }++;

        if ($response->{status} == 200) {
            my @members = map { join ' ', sort keys %$_ }
                          map { ($_, $_->{variants},
                                 values %{ $_->{variants} }) }
                          $whole, $response->{json};
            my $half = @members / 2;

            is_deeply([ @members[0 .. $half - 1] ],
                      [ @members[$half .. $#members] ],
                      "allocation $n: the answer is whole");
        }

        last if !$failed;
    }

    cmp_ok($n, '>', 50, "there were $n allocations");
    is(join(' ', sort keys %seen), '200 503', "$path: statuses");
    cmp_ok($seen{200}, '<', 5, 'what failed was no answer');
}

is(canary(), $canary, 'nothing was changed');

# the reset comes first

my ($response, $failed) = short(1, 'POST', "$stats/reset");

ok($failed, 'an allocation failed');
is($response->{status}, 503, 'a reset without an answer');
is(canary(), 0, 'is a reset');

is_deeply([ $t->workers ], [ $worker ], 'no worker has died');

$t->expect(qr/503 Service Unavailable: memory is short/,
           qr/statistics begin anew/);
$t->done;

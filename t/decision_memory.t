#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Memory is short in a worker that is to compile its first revision: everybody
# gets the declared baseline, and what is published serves once there is some.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Running;

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

# names of which a byte too many or too few is seen

my $long = 'an_upstream_whose_name_is_as_long_as_nobody_would_write_it';

my ($app, $sw) = map {
    my $release = $_;
    join '|', map { "\$gray_$release$_" } '', qw(_upstream _reason _rule _bucket);
} qw(app sw);

$t->config(<<"END");
http {
    gray_zone gray 1m;

    upstream $long { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release app {
        zone gray;
        hash \$arg_uid;
        variant canary v2 weight=50%;
        variant stable-1.0 $long;
        baseline stable-1.0;
        match canary \$http_x_canary = always;
    }

    gray_release sw {
        zone gray;
        hash \$arg_uid;
        variant off;
        variant on weight=100%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /proxy     { proxy_pass http://app; }
        location /app       { return 200 "$app"; }
        location /sw        { return 200 "$sw"; }
        location /decisions { return 200 \$gray_decisions; }
        location /gray/     { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END


sub body { return $t->get(@_)->{body} }


sub degraded {
    my $status = $t->api('GET', '/gray/status')->{json};

    return map { "$_->{release} $_->{degraded} $_->{health}" }
           @{ $status->{releases} };
}


my $fails = $t->write_file('fails', '');

chmod 0666, $fails;

{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{GRAY_MALLOC_FAILS} = $fails;

    $t->start;
}

# the rule, and half of the users, would get the canary

my @paths = map { "/proxy?uid=$_" } 1 .. 20;
my @canary = ('X-Canary' => 'always');

is(scalar(grep { body($_) ne 'v1' } @paths), 0, 'all get the baseline');
is(body('/proxy', @canary), 'v1', '... also by a rule');
is(body('/app?uid=1'), "stable-1.0|$long|degraded||", 'variables');
is(body('/sw?uid=1'), 'off||degraded||', '... of a switch');
is(body('/decisions?uid=1'), 'app=stable-1.0,sw=off', '... of all');
is($t->api('GET', '/gray/status')->{status}, 503, 'the API says no');

# it is tried again, and fails again

my $failed = -s $fails;

ok(wait_until(sub { return body('/app') && -s $fails > $failed }),
   'it is tried again');

my @told = $t->log =~ /\[error\] .* gray: (.*)/g;

is_deeply(\@told, [ map { qq(release "$_": the new revision could not be)
                          . ' compiled, everybody gets the baseline, tried'
                          . ' again every second' } qw(app sw) ],
          'it is told once for each release');

my $running = Test::Gray::Running->new($t);
my $since = $running->now;

unlink $fails;

ok(wait_until(sub { body('/app?uid=1') =~ /\|split\|\|\d+$/ }), 'compiled');
cmp_ok($running->now - $since, '<', 2, '... within two seconds');

my %variants = map { body($_) => 1 } @paths;

is(join(' ', sort keys %variants), 'v1 v2', '... and splits');
is(body('/proxy', @canary), 'v2', '... and has its rule');
is(body('/sw?uid=1') =~ s/\d+$/#/r, 'on||split||#', '... and the switch');

# those until then: by proxy_pass, by variables, by $gray_decisions

($app, $sw) = degraded();

cmp_ok((split ' ', $app)[1], '>=', 23, 'each of them is counted');
is($app =~ s/ \d+ / # /r, 'app # ok', '... and the health is ok');
is($sw, 'sw 2 ok', '... as of the switch');

$t->done;

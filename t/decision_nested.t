#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Decisions that ask for decisions: a release by another one's variant, and
# by its own, which cannot be known yet; and who asks too late.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone gray 4m;

    log_format decisions '$request_uri [$gray_never] [$gray_own]'
                         ' [$gray_own_reason] [$gray_outer] [$gray_decisions]';
    access_log off;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    # by another release

    gray_release outer {
        zone gray;
        variant stable v1;
        variant canary v2;
        match canary $gray_inner = on;
    }

    gray_release inner {
        zone gray;
        variant off;
        variant on;
        match on $arg_inner = 1;
    }

    # by what is made of its own decision

    map "$gray_own $gray_own_reason" $own {
        "stable degraded"  yes;
        default            no;
    }

    gray_release own {
        zone gray;
        hash $arg_uid;
        variant stable v1;
        variant canary v2;
        match canary $own = yes;
    }

    # two that wait for each other

    map $gray_left  $of_left  { default $gray_left; }
    map $gray_right $of_right { default $gray_right; }

    gray_release left {
        zone gray;
        variant a;
        variant b;
        match b $of_right = a;
    }

    gray_release right {
        zone gray;
        variant a;
        variant b;
        match b $of_left = a;
    }

    map $gray_all $of_all { default $gray_decisions; }

    gray_release all {
        zone gray;
        variant a;
        variant b;
        match b $of_all ~ all=a;
    }

    gray_release never {
        zone gray;
        variant a;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /outer {
            add_header X-D "$gray_outer $gray_outer_reason $gray_inner";
            proxy_pass http://outer;
        }

        location /own {
            add_header X-D "$gray_own $gray_own_reason $gray_own_rule";
            access_log %%DIR%%/access.log decisions;
            proxy_pass http://own;
        }

        # asked for by its own name, before the release

        location /own_before {
            set $before "$gray_own $gray_own_reason";
            add_header X-D "$gray_own $gray_own_reason";
            return 200 $before;
        }

        location /left  { return 200 "$gray_left $gray_right"; }
        location /right { return 200 "$gray_right $gray_left"; }
        location /all   { return 200 "$gray_all $gray_all_reason"; }

        location /late {
            access_log %%DIR%%/access.log decisions;
            return 200 late;
        }

        location /mixed {
            access_log %%DIR%%/access.log decisions;
            return 200 $gray_outer;
        }

        location /gray/ { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END


sub ask {
    my $response = $t->get(@_);
    return "$response->{body}: " . ($response->{headers}{'x-d'} || '');
}


# the lines of the access log since the last call

my $read = 0;

sub logged {
    my ($count) = @_;

    my @lines;

    Test::Gray::Process::wait_until(sub {
        @lines = split /\n/, $t->read_file('access.log');
        return @lines >= $read + $count;
    });

    splice @lines, 0, $read;
    $read += @lines;

    return @lines;
}


sub complaints {
    my @lines = $t->log =~ /^.*a rule depends on.*$/mg;
    return scalar @lines;
}


is(ask('/outer'), 'v1: stable random off', 'by another release');
is(ask('/outer?inner=1'), 'v2: canary rule on', 'by a rule of the other');

# the inner one reads the baseline, the outer one is what the rule says

is(ask('/own?uid=1'), 'v2: canary rule 0', 'by its own decision');

my ($line) = logged(1);

like($line, qr{^/own\?uid=1 \[-\] \[canary\] \[rule\] \[-\] },
     'the log has what was decided');

is(complaints(), 1, 'it is told');
ask("/own?uid=$_") for 1 .. 50;
is(scalar(grep { !/\[canary\] \[rule\]/ } logged(50)), 0,
   'it is so for every request');
is(complaints(), 1, 'it is told once');

is(ask('/own_before?uid=1'), 'canary rule: canary rule',
   'asked for by its own variable');

# both variables were read, each request is counted once

my $status = $t->api('GET', '/gray/status')->{json};
my ($state) = grep { $_->{release} eq 'own' } @{ $status->{releases} };

is($state->{degraded}, 52, 'each of them is counted');

# a circle ends where it began; no order of asking makes a request fail

like(ask('/left'), qr/^[ab] [ab]: $/, 'two that wait for each other');
like(ask('/right'), qr/^[ab] [ab]: $/, '... the other one first');
is(ask('/left'), ask('/left'), '... the same each time');
is(ask('/all'), 'b rule: ', '$gray_decisions in a rule');

# a change is told anew

is($t->api('PATCH', '/gray/releases/own', { salt => 'x' })->{status}, 200,
   'another revision');
is(ask('/own?uid=1'), 'v2: canary rule 0', 'by its own decision again');
is(complaints(), 5, 'told again, and once for each of the others');

# nothing is decided in the log phase, what was decided is there

logged(1);
ask('/late');
($line) = logged(1);
is($line, '/late [-] [-] [-] [-] [-]', 'first asked for by the log');

ask('/mixed?inner=1');
($line) = logged(1);
is($line, '/mixed?inner=1 [-] [-] [-] [canary] [outer=canary,inner=on]',
   'the log has what the request asked for');

$t->done;

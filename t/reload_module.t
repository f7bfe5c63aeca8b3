#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A reload with the module at another path: that is another module, with zones
# of its own.  Live documents are lost, the log says so, and what nginx.conf
# declares serves.

use strict;
use warnings;

use File::Copy ();
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

plan(skip_all => 'the module is no file of its own')
    if Test::Gray->module eq '';

my $t = Test::Gray->new->config(my $text = <<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m;

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant stable;
        variant canary weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /      { return 200 "$gray_app $gray_app_revision"; }
        location /gray/ { gray_admin; }
    }
}
END


sub change {
    my $response = $t->api('PATCH', '/gray/releases/app',
                           { variants => { canary => { weight => 100 } } });

    is($response->{status}, 200, 'changed') or diag($response->{body});
    serves('canary', 2, 'api');
}


sub serves {
    my ($variant, $revision, $origin) = @_;

    is($t->get('/?uid=1')->{body}, "$variant $revision", "$variant serves");
    is($t->api('GET', '/gray/releases/app')->{json}{origin}, $origin,
       "... by $origin");
}


sub times_said {
    my @lines = $t->log =~ /\[error\]\ \d+\#\d+:\ gray:\ the\ module\ was
                            \ loaded\ from\ another\ path\ before,\ what\ was
                            \ changed\ at\ run\ time\ is\ lost;\ what
                            \ nginx\.conf\ declares\ serves$/gmx;
    return scalar @lines;
}


my $first = $t->{module};
my $other = $t->dir . '/other.so';

File::Copy::copy($first, $other) or die "$other: $!\n";

change();

ok($t->reload(gone => 1), 'reload with the same path');
serves('canary', 2, 'api');
is(times_said(), 0, 'nothing is lost');

my $times = 0;

for my $path ($other, $first) {
    $t->{module} = $path;
    $t->config($text);

    ok($t->reload(gone => 1), 'reload with another path');
    serves('stable', 1, 'nginx.conf');
    is(times_said(), ++$times, 'the log says what is lost');

    change();

    ok($t->reload(gone => 1), 'reload with the same path');
    serves('canary', 2, 'api');
    is(times_said(), $times, 'nothing is lost');
}

# a module that has nothing to do for a while is none that was loaded again

$t->config('');
ok($t->reload(gone => 1), 'reload without http{}');

$t->config($text);
ok($t->reload(gone => 1), 'and with it again');
serves('stable', 1, 'nginx.conf');
is(times_said(), $times, 'the module is the same');

$t->done;

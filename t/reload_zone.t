#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Live documents come along where a reload changes the size of a zone or moves
# a release to another one; old workers can no longer write.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;


sub text {
    my (%of) = @_;

    my $zones = join '', map { "gray_zone $_ $of{zones}{$_};\n" }
                         sort keys %{ $of{zones} };

    my $releases = join '',
        map { "gray_release $_ { zone $of{in}{$_}; hash \$arg_uid;"
              . " variant stable; variant canary weight=10%; }\n" }
        sort keys %{ $of{in} };

    return <<"END";
worker_processes 2;

http {
    $zones
    $releases
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { return 200 \$gray_app:\$gray_app_revision; }
        location /gray/ { gray_admin; }
    }
}
END
}


sub weight {
    my ($name) = @_;

    my $doc = $t->api('GET', "/gray/releases/$name")->{json};

    return "$doc->{revision} $doc->{origin} "
           . $doc->{variants}{canary}{weight};
}


sub patch {
    my ($name, $weight) = @_;

    return $t->api('PATCH', "/gray/releases/$name",
                   { variants => { canary => { weight => $weight } } })
             ->{status};
}


$t->config(text(zones => { gray => '1m' },
                in => { app => 'gray', other => 'gray' }));
$t->start;

is(patch('app', 30), 200, 'changed');
is(patch('app', 20), 200, 'changed again');
is(weight('app'), '3 api 20', 'revision 3');

my $allocation = $t->api('GET', '/gray/releases/app')->{json}{allocation};


# another size

$t->config(text(zones => { gray => '2m' },
                in => { app => 'gray', other => 'gray' }));
ok($t->reload(gone => 1), 'the zone is larger');

is(weight('app'), '3 api 20', 'the live document comes along');
is_deeply($t->api('GET', '/gray/releases/app')->{json}{allocation},
          $allocation, 'to the bucket');
is(weight('other'), '1 nginx.conf 10', 'a declared one, too');
is(patch('app', 25), 200, 'and can be changed');

$t->config(text(zones => { gray => '1m' },
                in => { app => 'gray', other => 'gray' }));
ok($t->reload(gone => 1), 'the zone is smaller');
is(weight('app'), '4 api 25', 'the live document comes along');


# another zone

$t->config(text(zones => { gray => '1m', second => '1m' },
                in => { app => 'second', other => 'gray' }));
ok($t->reload(gone => 1), 'the release has another zone');
is(weight('app'), '4 api 25', 'the live document comes along');
is(patch('app', 26), 200, 'and can be changed');
is(patch('other', 11), 200, 'and so can what stayed');

$t->config(text(zones => { gray => '1m', second => '1m' },
                in => { app => 'gray', other => 'gray' }));
ok($t->reload(gone => 1), 'the release comes back');
is(weight('app'), '5 api 26', 'not what it had left there');
is(patch('app', 27), 200, 'and can be changed');


# a document that does not fit

is($t->api('PATCH', '/gray/releases/app',
           { rules => [ { when => { '$arg_x' => 'x' x 3000 },
                          variant => 'canary' } ] })->{status}, 200,
   'a long document');

my $long = $t->api('GET', '/gray/releases/app')->{body};

$t->config(text(zones => { gray => '768k document=1k' },
                in => { app => 'gray', other => 'gray' }));
my $refusal = 'gray_zone "gray": release "app" has a live document of \d+ bytes,'
              . ' revision 7: document=SIZE must be at least 4k';

ok($t->reload(refused => qr/$refusal/),
   'a zone that takes short ones only');
is($t->api('GET', '/gray/releases/app')->{body}, $long, 'is not taken');
is(weight('other'), '2 api 11', 'nor is anything else changed');
is($t->api('PUT', '/gray/releases/app',
           { $t->api('GET', '/gray/releases/app')->{json}->%*,
             rules => [] })->{status}, 200, 'a short one again');
ok($t->reload(gone => 1), 'then it is');
is(weight('app'), '8 api 27', 'with the live document');


# a connection to an old worker

my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $t->port(''));
my $body = '{"enabled":false}';
my $slow = "PATCH /gray/releases/app HTTP/1.1\r\nHost: localhost\r\n"
           . "Connection: close\r\nContent-Type: application/json\r\n"
           . 'Content-Length: ' . length($body) . "\r\n\r\n";

syswrite $s, $slow . substr($body, 0, 5);

# the worker has taken it: another connection after it was served

$t->get('/') for 1 .. 4;

$t->config(text(zones => { gray => '896k document=1k' },
                in => { app => 'gray', other => 'gray' }));
ok($t->reload, 'reload while a body is sent');

syswrite $s, substr($body, 5);

my $answer = do { local $/; <$s> };
like($answer, qr{^HTTP/1\.1 503 }, 'an old worker refuses it');
like($answer, qr/an old worker/, 'and says why');
is($t->api('GET', '/gray/releases/app')->{json}{enabled}, 1, 'not changed');

$t->done;

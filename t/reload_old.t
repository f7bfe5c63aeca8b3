#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# An old worker, that a reload left with requests of its own, serves them as
# before where it does not know what nginx.conf names now, follows the kill
# switch and what it does know, and takes no changes, as it would judge them by
# an old nginx.conf.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new;


# the zone of the releases, and the upstreams of the variants of one of them

sub text {
    my ($zone, $stable, $canary) = @_;

    return <<"END";
http {
    gray_zone one 1m;
    gray_zone two 1m;

    upstream $stable { server 127.0.0.1:%%PORT_v1%%; }
    upstream $canary { server 127.0.0.1:%%PORT_v2%%; }
    upstream both    { server 127.0.0.1:%%PORT_v3%%; }

    gray_release app {
        zone $zone;
        hash \$arg_uid;
        variant stable $stable;
        variant canary $canary weight=50%;
    }

    gray_release switch {
        zone $zone;
        hash \$arg_uid;
        variant off;
        variant on weight=10%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            proxy_pass http://app;
            add_header X-D "\$gray_app \$gray_app_upstream \$gray_app_reason";
            add_header X-Revision \$gray_app_revision;
            add_header X-Pid \$pid;
        }

        location = /pid { return 200 \$pid; }
        location /gray/ { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
    server { listen 127.0.0.1:%%PORT_v3%%; return 200 v3; }
}
END
}


sub reload {
    my (@names) = @_;

    $t->config(text(@names));
    ok($t->reload, "reload: @names");
}


# a request but for its last two bytes, behind another one by whose answer it
# is known that the worker has it; returns what completes it

sub hold {
    my ($method, $path, $data) = @_;

    my @headers = (Connection => 'close');
    my $connection = $t->http->connect;

    push @headers, 'Content-Type' => 'application/json' if defined $data;

    my $request = Test::Gray::HTTP::request_text($method, $path, \@headers,
                                                 $data);
    my $rest = substr $request, -2, 2, '';

    $connection->send(Test::Gray::HTTP::request_text('GET', '/pid', [])
                      . $request);

    my $pid = $connection->receive->{body};

    return sub {
        my $response = $connection->send($rest)->receive($method);

        undef $connection;

        $response->{pid} = $pid;
        $response->{json} = eval { JSON::PP::decode_json($response->{body}) };

        return $response;
    };
}


sub seen {
    my ($response) = @_;

    my $headers = $response->{headers};

    return join ' ', $response->{body}, @$headers{qw(x-d x-revision)};
}


sub patch {
    my ($name, $data) = @_;

    my $response = $t->api('PATCH', "/gray/releases/$name", $data);

    is($response->{status}, 200, "change of $name")
        or diag($response->{body});
}


# a change of "switch" shows here

sub brief {
    my $document = $t->api('GET', '/gray/releases/switch')->{json};

    return "$document->{revision} $document->{origin} "
           . $document->{variants}{on}{weight};
}


my $refusal = 'nginx was reloaded and this connection is one to an old '
              . 'worker, connect again';

$t->config(text('one', 'v1', 'v2'))->start;

my ($user) = grep { $t->get("/?uid=$_")->{body} eq 'v2' } 1 .. 100;
my ($old) = $t->workers;
my $path = "/?uid=$user";

my @slow = map { hold('POST', $path, 'body') } 1 .. 6;

my @calls = (
    [ PATCH => 'app', '{"variants":{"canary":{"weight":60}}}' ],
    [ PATCH => 'app', '{"enabled":false}' ],
    [ PATCH => 'switch', '{"variants":{"on":{"weight":20}}}' ],
    [ PATCH => 'switch?dry_run=1', '{"variants":{"on":{"weight":20}}}' ],
    [ DELETE => 'switch' ],
    [ DELETE => 'switch?dry_run=1' ],
);

my @held = map { hold($_->[0], "/gray/releases/$_->[1]", $_->[2]) } @calls;
my $status = hold('GET', '/gray/status');


# nginx.conf names another upstream, and then for the baseline, too

reload('one', 'v1', 'w2');

my $response = shift(@slow)->();

is($response->{headers}{'x-pid'}, $old, 'it is the old worker');
is(seen($response), 'v2 canary v2 split 1', 'it has what it had');
is(seen($t->get($path)), 'v2 canary w2 split 2', 'the new ones have the next');

reload('one', 'w1', 'w2');

is(seen(shift(@slow)->()), 'v2 canary v2 split 1', 'the baseline, too');

patch('app', { enabled => JSON::PP::false });
is(seen(shift(@slow)->()), 'v1 stable v1 disabled 4', 'the kill switch');

patch('app', { enabled => JSON::PP::true });
is(seen(shift(@slow)->()), 'v2 canary v2 split 1', 'and back') for 1 .. 2;


# the API on the old worker

my ($state) = @{ $status->()->{json}{releases} };
is($state->{health}, 'this worker is of the nginx.conf before, an older '
                     . 'revision serves', 'its status says so');

my $document = $t->api('GET', '/gray/releases/app')->{body};

for my $i (0 .. $#calls) {
    my ($method, $release) = @{ $calls[$i] };

    $response = $held[$i]->();
    is($response->{pid}, $old, "$method $release: the old worker");
    is($response->{status}, 503, '... refuses it');
    is($response->{json}{detail}, $refusal, '... and says why');
}

is($t->api('GET', '/gray/releases/app')->{body}, $document,
   'nothing was changed');
is(brief(), '1 nginx.conf 10', 'nor there');

patch('app', { variants => { canary => { upstream => 'both' } } });
patch('app', { variants => { stable => { upstream => 'both' } } });
is(seen(shift(@slow)->()), 'v3 canary both split 7',
   'what it knows again, it takes up');

ok(wait_until(sub { !alive($old) }), 'the old worker has ended');

($state) = @{ $t->api('GET', '/gray/status')->{json}{releases} };

is("$state->{release} $state->{degraded}", 'app 0', 'nobody was degraded');

my @lines = $t->log =~ /\[info\] $old#.*? (gray: release "app" .*), client: /g;

is_deeply(\@lines, [ map { "gray: release \"app\" revision $_ is for a newer "
                           . 'nginx.conf, revision 1 serves until this '
                           . 'process ends' } 2 .. 5 ],
          'the log says it once for each revision');


# to another zone and back: the block is the one that it knows

my $late = hold('PATCH', '/gray/releases/switch', '{"enabled":false}');

($old) = $t->workers;

reload('two', 'w1', 'w2');
reload('one', 'w1', 'w2');

patch('switch', { variants => { on => { weight => 30 } } });

$response = $late->();
is($response->{pid}, $old, 'a worker of two configurations ago');
is("$response->{status} $response->{json}{detail}", "503 $refusal",
   'cannot write');
is(brief(), '3 api 30', 'and has changed nothing');

unlike($t->log, qr/\[error\]/, 'nobody has to act');

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# WebSocket through a release: a connection stays where it was made, new ones
# follow each change; its log says what was decided, though that is long gone.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Release;
use Test::Gray::WebSocket;

my $t = Test::Gray->new;

$t->daemon(v1 => websocket(sub { return "v1 $_[0]" }));
$t->daemon(v2 => websocket(sub { return "v2 $_[0]" }));

$t->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant stable app_v1;
        variant canary app_v2 weight=0%;
        match canary $http_x_canary = always;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }

        location /gray/ { gray_admin; }
    }
}
END


sub open_socket {
    my ($uid, @headers) = @_;

    return Test::Gray::WebSocket->new($t->http, "/?uid=$uid", @headers);
}


follows_release($t, 'app', sub {
    return map {
        my $socket = open_socket($_->{uid},
            $_->{canary} ? ('X-Canary' => 'always') : ());
        my $answer = $socket->ask('hello');

        $socket->close;
        $answer =~ /^(v\d) hello$/ ? $1 : $answer;
    } @_;
});

my $stable = open_socket('u');
my $tester = open_socket('u', 'X-Canary' => 'always');

is($stable->ask('one'), 'v1 one', 'stable');
is($tester->ask('one'), 'v2 one', 'canary');

patch($t, 'app', { rules => [], variants => { canary => { weight => 100 } } });

is($stable->ask('x' x 5000), 'v1 ' . 'x' x 5000, 'stays after a change');
is($tester->ask('two'), 'v2 two', 'stays after its rule is gone');

my $late = open_socket('u');

is($late->ask('one'), 'v2 one', 'a new connection follows the change');

# an old worker keeps its connections, a new one has the live document

my @old = $t->workers;

ok($t->reload, 'reload');
is($stable->ask('three'), 'v1 three', 'stays over a reload');
is($tester->ask('three'), 'v2 three', 'the canary stays over a reload');

my $new = open_socket('u');

is($new->ask('one'), 'v2 one', 'the change is there after a reload');

patch($t, 'app', { variants => { canary => { weight => 0 } } });

is($stable->ask('four'), 'v1 four', 'stable stays after the change back');
is($late->ask('four'), 'v2 four', 'canary stays after the change back');
ok($_->close, 'closed') for $stable, $tester, $late, $new;

ok(Test::Gray::Process::wait_until(sub {
       return !grep { Test::Gray::Process::alive($_) } @old;
   }), 'old workers end with their last connection');

# a connection outlives the names by which it was decided, and others of the
# same length take their place in the worker that has it

my $one = Test::Gray->new;
my ($v1, $v2) = map { $t->port($_) } qw(v1 v2);

$one->config(<<"END")->start;
http {
    gray_zone gray 1m;

    log_format decision '\$gray_app \$gray_app_upstream \$gray_app_rule'
                        ' \$gray_app_revision';
    access_log off;

    upstream app_v1 { server 127.0.0.1:$v1; }
    upstream app_v2 { server 127.0.0.1:$v2; }
    upstream app_v3 { server 127.0.0.1:$v1; }
    upstream app_v4 { server 127.0.0.1:$v2; }

    gray_release app {
        zone gray;
        hash \$arg_uid;
        variant stable app_v1;
        variant canary app_v2 weight=0%;
        match canary \$http_x_canary = always name=tester;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            access_log %%DIR%%/access.log decision;
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
        }

        location /now {
            return 200 "\$gray_app \$gray_app_upstream \$gray_app_revision";
        }

        location /gray/ { gray_admin; }
    }
}
END

my @canary = ('X-Canary' => 'always');
my @outlive = map { Test::Gray::WebSocket->new($one->http, '/?uid=u', @$_) }
              [ @canary ], [ ];

is($outlive[0]->ask('one'), 'v2 one', 'a canary that outlives its rule set');
is($outlive[1]->ask('one'), 'v1 one', '... and a stable one');

my @changes = (
    { rules => [ { name => 'nobody', when => { '$arg_x' => 1 },
                   variant => 'canary' } ] },
    { baseline => 'danube', rules => [],
      variants => { danube => { upstream => 'app_v3' },
                    medway => { upstream => 'app_v4', weight => 0 },
                    stable => undef, canary => undef } },
    map({ { variants => { medway => { weight => $_ } } } } 1 .. 20),
    { variants => { medway => { weight => 100 } } },
);

for my $i (0 .. $#changes) {
    my $revision = $i + 2;

    $one->api('PATCH', '/gray/releases/app', $changes[$i]);
    like($one->get('/now?uid=u')->{body}, qr/ $revision$/,
         "revision $revision is compiled")
        or diag(explain($changes[$i]));
}

is($one->get('/now?uid=u')->{body}, 'medway app_v4 24',
   'another variant for others');
is($outlive[0]->ask('two'), 'v2 two', 'it is still there');

for my $case ([ 0, "canary app_v2 tester 1\n" ],
              [ 1, "canary app_v2 tester 1\nstable app_v1 - 1\n" ])
{
    my ($i, $lines) = @$case;

    ok($outlive[$i]->close, 'closed');
    Test::Gray::Process::wait_until(sub {
        return $one->read_file('access.log') eq $lines;
    });
    is($one->read_file('access.log'), $lines, 'the log of the decision');
}

$t->done;

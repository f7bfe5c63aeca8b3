#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A live document names what nginx.conf no longer has: nginx starts, nobody
# gets an error, the log says it once for each worker, and it is undone by
# the next reload that brings the name back.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;


# the upstreams and variables that are named are there

sub text {
    my ($kind, @names) = @_;

    my %there = map { $_ => 1 } @names;
    my $more = '';

    $more .= "upstream $_ { server 127.0.0.1:%%PORT_$_%%; }\n"
        for grep { $there{$_} } qw(v3 v4);

    $more .= 'map $arg_staff $staff { default $arg_staff; }' . "\n"
        if $there{staff};

    my ($variants, $location) = $kind eq 'routed'
        ? ('variant stable v1; variant canary v2 weight=0%;',
           'proxy_pass http://changing;')
        : ('variant stable; variant canary weight=0%;',
           'return 200 $gray_changing;');

    return <<"END";
http {
    gray_zone gray 2m;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }
    $more

    gray_release app {
        zone gray;
        hash \$arg_uid;
        variant stable v1;
        variant canary v2 weight=0%;
    }

    # its declared document gives everybody the canary

    gray_release full {
        zone gray;
        hash \$arg_uid;
        variant stable v1;
        variant canary v2 weight=100%;
        match canary \$http_x_canary = always;
    }

    gray_release changing { zone gray; $variants }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /app {
            add_header X-D "\$gray_app \$gray_app_upstream \$gray_app_reason";
            proxy_pass http://app;
        }

        location /full {
            add_header X-D
                "\$gray_full \$gray_full_upstream \$gray_full_reason";
            proxy_pass http://full;
        }

        location /changing { $location }
        location /gray/ { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
    server { listen 127.0.0.1:%%PORT_v3%%; return 200 v3; }
    server { listen 127.0.0.1:%%PORT_v4%%; return 200 v4; }
}
END
}


sub reload {
    $t->config(text('routed', @_));
    ok($t->reload(gone => 1), 'reload with ' . (join(', ', @_) || 'nothing'));
}


sub ask {
    my $response = $t->get(@_);
    return "$response->{body}: " . ($response->{headers}{'x-d'} || '');
}


sub patch {
    my ($name, $data) = @_;

    my $response = $t->api('PATCH', "/gray/releases/$name", $data);

    is($response->{status}, 200, "change of $name")
        or diag($response->{body});
}


sub state {
    my ($name) = @_;

    my $status = $t->api('GET', '/gray/status')->{json};
    my ($state) = grep { $_->{release} eq $name } @{ $status->{releases} };

    return $state;
}


sub times_logged {
    my ($regex) = @_;

    my @lines = grep { /$regex/ } split /\n/, $t->log;
    return scalar @lines;
}


$t->config(text('routed', qw(v3 v4 staff)))->start;

# the upstream of a variant

patch('app', { variants => { canary => { upstream => 'v3', weight => 100 } },
               rules => [ { name => 'staff', variant => 'stable',
                            when => { '$staff' => 'yes' } },
                          { name => 'guests', variant => 'stable',
                            when => { not => { '$staff' => { in =>
                                                             [ 'no' ] } } } }
                        ] });

is(ask('/app?uid=1&staff=no'), 'v3: canary v3 split', 'everything is there');
is(ask('/app?uid=1&staff=yes'), 'v1: stable v1 rule', '... by a rule');
is(ask('/app?uid=1'), 'v1: stable v1 rule', '... by what is not');

reload(qw(staff v4));

is(ask('/app?uid=1&staff=no'), 'v1: stable v1 degraded', 'a variant is gone');
is(ask('/app?uid=1&staff=yes'), 'v1: stable v1 rule', '... rules still hold');
like(state('app')->{health}, qr/names what nginx.conf does not have/,
     '... the status says so');
is(state('app')->{degraded}, 1, '... one request was degraded');

ask('/app?uid=1&staff=no') for 1 .. 20;

is(state('app')->{degraded}, 21, '... each is counted');
is(times_logged(qr/upstream "v3" of variant "canary" is gone/), 1,
   '... the log says so once');

my $document = $t->api('GET', '/gray/releases/app')->{json};

is($document->{variants}{canary}{upstream}, 'v3', '... the document stays');
is($t->api('PUT', '/gray/releases/app', $document)->{status}, 200,
   '... and is accepted again as it is');

$document->{variants}{canary}{upstream} = 'v5';
is($t->api('PUT', '/gray/releases/app', $document)->{status}, 422,
   '... but with no other upstream that is not there');

reload(qw(v3 v4 staff));

is(ask('/app?uid=1&staff=no'), 'v3: canary v3 split', 'it is there again');
is(state('app')->{health}, 'ok', '... the status says so');

# a variable: its rules do not hold, whatever "not" stands around it

reload(qw(v3 v4));

is(ask('/app?uid=1&staff=yes'), 'v3: canary v3 split', 'a variable is gone');
is(ask('/app?uid=1'), 'v3: canary v3 split', '... "not" lets nobody in');
like(state('app')->{health}, qr/names what nginx.conf does not have/,
     '... the status says so');

# the upstream of the baseline: what nginx.conf declares serves

patch('app', { variants => { stable => { upstream => 'v4' } },
               rules => [] });
is(ask('/app'), 'v4: stable v4 no_key', 'another baseline');

reload(qw(v3 staff));

is(ask('/app'), 'v1: stable v1 no_key', 'the baseline is gone');
is(ask('/app?uid=1'), 'v1: stable v1 split', '... as declared, at weight 0');
like(state('app')->{health}, qr/the baseline's upstream is gone/,
     '... the status says so');
is(times_logged(qr/\[error\].*the baseline's upstream "v4" is gone/), 1,
   '... the log says so once');

patch('app', { variants => { stable => { upstream => 'v1' },
                             canary => { upstream => 'v2' } } });
is(ask('/app?uid=1'), 'v2: canary v2 split', 'a change mends it');

# a kill switch that was flipped is as good where the declared document serves

my @canary = ('/full?uid=1', 'X-Canary' => 'always');

patch('full', { enabled => JSON::PP::false(),
                variants => { stable => { upstream => 'v3' } } });
is(ask('/full?uid=1'), 'v3: stable v3 disabled', 'disabled');

reload('v4');

is(ask($_->[0], @$_[1 .. $#$_]), 'v1: stable v1 disabled',
   "disabled, and the baseline is gone: @$_")
    for [ '/full' ], [ '/full?uid=1' ], [ @canary ];
like(state('full')->{health}, qr/the baseline's upstream is gone/,
     '... the status says so');

for my $case ([ JSON::PP::true(), 'v2: canary v2 split',
                'v2: canary v2 rule', 'enabled' ],
              [ JSON::PP::false(), 'v1: stable v1 disabled',
                'v1: stable v1 disabled', 'disabled again' ])
{
    my ($enabled, $split, $rule, $title) = @$case;

    patch('full', { enabled => $enabled });
    is(ask('/full?uid=1'), $split, "... $title");
    is(ask(@canary), $rule, "... $title, a rule");
}

# both

reload('v3');
patch('app', { variants => { canary => { upstream => 'v3' } } });
reload();
is(ask('/app?uid=1'), 'v1: stable v1 degraded', 'all of it is gone');

# a switch becomes routed, and what was changed has no upstreams

$t->config(text('switch'));
ok($t->reload, 'a switch');
is($t->api('PATCH', '/gray/releases/changing',
           { variants => { canary => { weight => 100 } } })->{status}, 200,
   'change of a switch');
is($t->get('/changing')->{body}, 'canary', 'the switch');

$t->config(text('routed'));
ok($t->reload, 'the switch becomes an upstream');
is($t->get('/changing')->{body}, 'v1', '... as declared');

patch('changing', { variants => { canary => { weight => 100 } } });
is($t->get('/changing')->{body}, 'v2', '... and can be changed');

# and back again

$t->config(text('switch'));
ok($t->reload, 'the upstream becomes a switch');
is($t->get('/changing')->{body}, 'stable', '... as declared');

$t->done;

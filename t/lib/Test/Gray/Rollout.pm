package Test::Gray::Rollout;

# Copyright (C) the nginx gray module authors
#
# A release "app" whose rollout is watched, and upstreams that can be bad:
#
#     my $r = Test::Gray::Rollout->new;       # options: see text() below
#
#     $r->bad(canary => 3);                   # percent of its answers are 500
#     $r->load(2000);                         # requests a second, from now on
#     $r->plan(steps => [ { weight => 5 } ]); # the document has that plan
#     $r->act('start');                       # an action; returns the answer
#     $r->becomes('rolled_back');             # waits; returns the rollout
#
# What came of it is told by those who have no part in it:
#
#     $r->journal;        # lines of the file, those of the rollout alone
#     $r->served;         # what upstreams have answered, [ variant, user,
#                         # status, revision, ms ], in their order
#     $r->weight;         # the canary's in the document
#
# Where there are more releases, of the option "releases", these calls are for
# the one that $r->of('NAME') names.  The upstreams are another nginx, so that
# the one with the release can be killed.

use strict;
use warnings;

use JSON::PP    ();
use Test::More  ();
use Time::Piece ();

use Test::Gray;
use Test::Gray::Process;

my $json = JSON::PP->new->utf8->canonical;

# requests are of one of these by chance, and users likewise, for good

my @chances = ([ 1, 'p1' ], [ 2, 'p3' ], [ 47, 'p50' ]);


# whether there is something to make load with

sub no_load { return (capture('wrk', '-v'))[1] =~ /^wrk / ? undef : 'no wrk' }


sub new {
    my ($class, %option) = @_;

    my $self = bless { workers => 2, variants => [ 'canary' ], size => '4m',
                       users => 20_000, key => '$arg_u', state => 'state',
                       name => 'app', releases => [ 'app' ], loads => [],
                       asked => [ 0 ],
                       %option }, $class;

    $self->{upstreams} = Test::Gray->new(level => 'notice')
                         ->config(upstreams('stable', @{ $self->{variants} }));
    $self->{upstreams}->write_file('nobody', '');
    $self->{upstreams}->start;

    $self->{t} = Test::Gray->new(daemon => $self->{daemon} || 'off',
                                level => 'notice')
                 ->config($self->text);

    if ($self->{clock}) {
        $self->{clock} = $self->{clock}->new($self->{t});
        $self->{clock}->start($self->{t});

    } else {
        $self->{t}->start;
    }

    return $self;
}


sub t { return $_[0]{t} }


sub of {
    my ($self, $name) = @_;

    return bless { %$self, name => $name }, ref $self;
}


# -- upstreams: a file says what one is to do, "canary.p3"

sub upstreams {
    my (@variants) = @_;

    my $split = join '', map { "$_->[0]% $_->[1]; " } @chances;
    my $servers = join '', map { server($_) } @variants;

    return <<"END";
worker_processes 1;
events { worker_connections 1024; }

http {
    log_format arm '\$arm \$arg_u \$status \$http_x_revision \$msec';
    access_log %%DIR%%/served.log arm;
    keepalive_requests 10000000;

    split_clients \$request_id \$luck { $split * p100; }
    split_clients "\$arg_u fate" \$fate { 1% cursed; * blessed; }

    $servers
}
END
}


# what is slow is so by the time that it takes to refuse somebody

sub server {
    my ($variant) = @_;

    my $slow = join '', map { <<"END" } 40, 20, 10;
        location = /slow$_ {
            auth_basic            gray;
            auth_basic_user_file  %%DIR%%/nobody;
            auth_delay            ${_}ms;
            error_page 401 =      \@ok;
        }
END

    my $if = join '', map { <<"END" } 40, 20, 10;
            if (-f %%DIR%%/$variant.slow$_) { rewrite ^ /slow$_ last; }
END

    return <<"END";
    server {
        listen 127.0.0.1:%%PORT_$variant%%;
        set \$arm $variant;

        location / {
            if (-f %%DIR%%/$variant.\$luck) { return 500; }
            if (-f %%DIR%%/$variant.\$fate) { return 500; }
            if (-f %%DIR%%/$variant.cold\$http_x_revision) {
                rewrite ^ /slow40 last;
            }
$if
            return 200 $variant;
        }

$slow
        location \@ok { return 200 $variant; }
    }
END
}


# what it does from now on: errors, in percent, of 0, 1, 3, 50 and 100

sub bad {
    my ($self, $variant, $percent) = @_;

    my $sum = 0;

    for (@chances, [ 50, 'p100' ]) {
        $sum += $_->[0];
        $self->does($variant, $_->[1], $sum <= $percent);
    }

    return;
}


# "cursed": one of a hundred users always gets an error; "slow20": 20 ms, and
# "cold7": 40 ms for those who were sent there by revision 7

sub does {
    my ($self, $variant, $what, $it) = @_;

    my $name = "$variant.$what";

    if ($it) {
        $self->{upstreams}->write_file($name, '');

    } else {
        unlink $self->{upstreams}->dir . "/$name";
    }

    return;
}


# -- nginx with the release

sub text {
    my ($self) = @_;

    my $up = $self->{upstreams};
    my $state = $self->{state} ? " state=$self->{state}" : '';
    my $main = $self->{main} || '';
    my $zone = $self->{zone} || '';
    my $more = $self->{more} || '';
    my @variants = @{ $self->{variants} };

    my $blocks = join '', map {
        "    upstream $_ { server 127.0.0.1:" . $up->port($_)
        . " max_fails=0; keepalive 64; }\n"
    } 'stable', @variants;

    my $releases = join '', map { $self->declared($_) } @{ $self->{releases} };
    my $places = $self->{switch} ? '' : join '', map { <<"END" }
        location /$_ {
            proxy_pass http://$_;
            proxy_set_header Connection "";
            proxy_set_header X-Revision \$gray_${_}_revision;
        }
END
        @{ $self->{releases} };

    return <<"END";
$main
worker_processes $self->{workers};
events { worker_connections 1024; }

http {
    gray_zone gray $self->{size}$state $zone;
    keepalive_requests 10000000;

$blocks
$releases

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        proxy_http_version 1.1;

$places
        $more
        location = /pid     { return 200 \$pid; }
        location = /metrics { gray_metrics; }
        location /gray/     { gray_admin; }
    }
}
END
}


sub declared {
    my ($self, $name) = @_;

    my $key = $self->{key} ? "hash $self->{key};" : '';
    my $more = $self->{release} || '';

    my $arms = join "\n        ", map {
        my $upstream = $self->{switch} ? '' : " $_";
        my $weight = $_ eq 'stable' ? '' : ' weight=0%';

        "variant $_$upstream$weight;"
    } 'stable', @{ $self->{variants} };

    return <<"END";
    gray_release $name {
        zone gray;
        $key
        $arms
        $more
    }

END
}


# another configuration, after the code has changed options of this one

sub reload {
    my ($self, %option) = @_;

    @$self{keys %option} = values %option;

    $self->{t}->config($self->text);

    return $self->{t}->reload;
}


# -- load

sub load {
    my ($self, $rate) = @_;

    my $connections = 8;
    my $delay = int($connections * 1000 / $rate + 0.5);
    my $users = $self->{users};
    my $port = $self->{t}->port;

    my $path = "/$self->{name}?u=";
    my $script = $self->{upstreams}->write_file('load.lua', <<"END");
math.randomseed(os.time())

function request()
    return wrk.format("GET", "$path" .. math.random($users))
end
END

    # wrk takes milliseconds

    if ($delay >= 1) {
        $script = $self->{upstreams}->write_file('load.lua',
            slurp($script) . "\nfunction delay() return $delay end\n");
    }

    my $pid = $self->{upstreams}->spawn('wrk', '-t1', "-c$connections",
                                        '-d600', '--timeout', '10s', '-s',
                                        $script, "http://127.0.0.1:$port/");

    push @{ $self->{loads} }, $pid;

    return $pid;
}


# a few requests, each of another user

sub ask {
    my ($self, $n) = @_;

    return $self->{t}->many($n, sub {
        return "/$self->{name}?u=" . $self->{asked}[0]++;
    });
}


# what wrk said in the end

sub unload {
    my ($self) = @_;

    my @said;

    for my $pid (splice @{ $self->{loads} }) {
        $self->{upstreams}->reap($pid, 'INT');
        push @said, $self->{upstreams}->read_file("stderr.$pid");
    }

    return join '', @said;
}


# -- the document

# short steps, and evidence that is soon there, unless it says more

my %short = (
    variant => 'canary', hold => '2s', max_hold => '60s', warmup => '0s',
    min_requests => 20, info_nats => 0, cooldown => '2s',
);


sub plan {
    my ($self, %plan) = @_;

    my $response = $self->patch({ rollout => undef });

    $response = $self->patch({ rollout => { %short, %plan } })
        if $response->{status} == 200;

    die "no plan: $response->{body}\n" if $response->{status} != 200;

    return $response->{json};
}


# another worker, at a tick, may write for longer than is waited for

sub patch {
    my ($self, $data, $query) = @_;

    return $self->{t}->insist('PATCH', "/gray/releases/$self->{name}"
                                       . ($query || ''), $data);
}


sub api {
    my ($self, $method, $path, $data) = @_;

    return $self->{t}->api($method, "/gray/releases/$self->{name}$path",
                           $data);
}


sub document { return $_[0]->api('GET', '')->{json} }


sub weight {
    my ($self, $variant) = @_;

    my $document = $self->document;

    $variant ||= 'canary';

    return 100 if $document->{baseline} eq $variant;
    return $document->{variants}{$variant}{weight};
}


# -- the rollout

sub act {
    my ($self, $action, $data, $query) = @_;

    return $self->api('POST', "/rollout/$action" . ($query || ''), $data);
}


sub see { return $_[0]->api('GET', '/rollout')->{json} }


# "paused", "running 2", "running waiting_gate", or code: waits until it is so

sub becomes {
    my ($self, $what, $seconds) = @_;

    my $is;

    wait_until(sub {
        $is = $self->see or return 0;
        return ref $what ? $what->($is) : called($is, $what);
    }, ($seconds || 20) * $Test::Gray::Process::scale)
        or Test::More::diag('it is '
                            . ($is ? $json->encode({ %$is, steps => undef,
                                              history => undef })
                                   : 'not there'));

    return $is || {};
}


sub called {
    my ($is, $what) = @_;

    my ($state, $more) = split / /, $what;

    # of what it wishes for, the document has all

    return 0 if $is->{state} ne $state || $is->{pending};
    return 1 unless defined $more;
    return ($is->{step} || 0) == $more if $more =~ /^\d+$/;
    return ($is->{substate} || '') eq $more;
}


# plans, and starts, once the one before has cooled down

sub begin {
    my ($self, %plan) = @_;

    my $response;

    $self->plan(%plan);

    wait_until(sub {
        $response = $self->act('start');
        return $response->{status} == 200
               || $response->{status} != 503
                  && $response->{json}{detail} !~ /cools down|is not yet/;
    });

    die "not started: $response->{body}\n" if $response->{status} != 200;

    return $response->{json};
}


# to nothing, whatever there was

sub over {
    my ($self) = @_;

    $self->act('abort');
    $self->patch({ rollout => undef, enabled => JSON::PP::true(),
                   baseline => 'stable', rules => [],
                   variants => { stable => { weight => undef },
                                 map { $_ => { weight => 0 } }
                                     @{ $self->{variants} } } });

    return;
}


# -- what came of it: a line that is being written is none yet

sub lines {
    my ($self) = @_;

    my $file = $self->{t}->dir . "/$self->{state}/$self->{name}.jsonl";

    return map { $json->decode($_) } grep { /\n\z/ } split /^/, slurp($file);
}


sub journal { return grep { $_->{author} eq 'rollout' } $_[0]->lines }


# all, or once there are so many

sub served {
    my ($self, $n) = @_;

    my $file = $self->{upstreams}->dir . '/served.log';

    wait_until(sub { (() = slurp($file) =~ /\n/g) >= ($n || 0) });

    return map { [ split / / ] }
           split /\n/, slurp($file);
}


# seconds of the epoch, of a line of the journal

sub time_of {
    my ($line) = @_;

    my ($date, $time, $ms) = $line->{time} =~ /^(\S+)T(\S+)(\.\d+)Z$/;

    return Time::Piece->strptime("$date $time", '%Y-%m-%d %T')->epoch + $ms;
}


# from now on

sub forget {
    my ($self) = @_;

    truncate $self->{upstreams}->dir . '/served.log', 0;

    return;
}


1;

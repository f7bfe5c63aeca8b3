package Torture::Client;

# Copyright (C) the nginx gray module authors
#
# Clients, each a process of its own that writes down all of its requests: see
# Torture::Record.
#
#     my $client = Torture::Client->new(t => $t, who => 'writer 1', seed => 7);
#
#     $client->run(sub { ... $client->ask(...) ... });     # until USR1

use strict;
use warnings;

use JSON::PP ();
use POSIX ();
use Time::HiRes ();

use Test::Gray::HTTP;
use Torture::Record;

my $json = JSON::PP->new->utf8->canonical;

our $api = '/gray/releases/checkout';
our $decision = '/decision?u=probe';


sub new {
    my ($class, %option) = @_;

    return bless { timeout => 10, keep => 1, %option }, $class;
}


# starts the process, which does the code again and again, or "times"

sub run {
    my ($self, $code) = @_;

    my $file = $self->{t}->dir . "/records/$self->{who}";

    return $self->{t}->child(sub {
        my $over = 0;

        $SIG{USR1} = sub { $over = 1 };
        $SIG{PIPE} = 'IGNORE';
        srand($self->{seed});

        open $self->{file}, '>:raw', $file or die "$file: $!\n";

        my $times = $self->{times};

        until ($over || defined $times && $times-- == 0) {
            $code->($self);
            $self->pause;
        }

        close $self->{file} or die "$file: $!\n";
        POSIX::_exit(0);
    });
}


# on average as long as was said, so that requests meet others in all ways

sub pause {
    my ($self) = @_;

    select undef, undef, undef, rand 2 * $self->{pause} if $self->{pause};

    return;
}


# one request, on the connection that there is; returns what was written down

sub ask {
    my ($self, $kind, $method, $path, $headers, $body, %more) = @_;

    my $start = now();
    my $connection = $self->{connection};

    my %r = (kind => $kind, who => $self->{who}, start => $start, status => 0,
             since => $connection ? $self->{since} : $start,
             kept => $connection ? $self->{kept} : 0, %more);

    my $response = eval {
        $connection ||= $self->connect;

        push @$headers, Connection => 'close' unless $self->{keep};
        push @$headers, 'Content-Type' => 'application/json'
            if defined $body && !grep { $_ eq 'Content-Type' } @$headers;

        $connection->send(Test::Gray::HTTP::request_text($method, $path,
                                                         $headers, $body));
        $connection->receive($method) || die "closed without a response\n";
    };

    chomp($r{error} = $@) unless $response;

    $r{end} = now();

    if ($response) {
        my $sent = $response->{headers};

        $r{status} = $response->{status};
        @r{qw(zone conf pid)} = split ' ', $sent->{'x-process'} || '0 0 0';
        ($r{revision}) = ($sent->{etag} || '') =~ /(\d+)/;

        if ($kind eq 'decision' && $r{status} == 200) {
            @r{qw(zone conf pid revision c b a)} = split / /,
                                                   $response->{body}, -1;
        } else {
            $r{b} = $response->{body};
        }
    }

    print { $self->{file} } record_line(\%r);

    if ($response && $self->{keep}
        && ($response->{headers}{connection} || '') ne 'close')
    {
        @$self{qw(connection since)} = ($connection, $r{end});
        $self->{kept}++;

    } else {
        $self->{connection} = undef;
        $self->{kept} = 0;
    }

    # a client that is refused does not come again at once

    select undef, undef, undef, 0.02
        if !$response && $r{error} =~ /refused/;

    return \%r;
}


# to any worker, or to the one that is asked for as "pid"

sub connect {
    my ($self) = @_;

    my $pid = $self->{pid};
    my $http = Test::Gray::HTTP->new(port => $self->{t}->port,
                                     timeout => $self->{timeout});

    return $http->connect unless $pid;

    for (1 .. 1000) {
        my $connection = $http->connect;

        return $connection
            if (split ' ', $connection->get('/decision')->{body})[2] == $pid;
    }

    die "no connection to worker $pid\n";
}


# -- what they do

sub decide {
    my ($self) = @_;

    return $self->ask('decision', 'GET', $decision, []);
}


# a request to an upstream, of a user who is drawn

sub visit {
    my ($self) = @_;

    return $self->ask('site', 'GET', '/?uid=' . int rand 100000, []);
}


# the live document, and what the history has of a revision up to it

sub look_back {
    my ($self) = @_;

    my $got = $self->ask('get', 'GET', $api, []);

    return if $got->{status} != 200;

    # not so far that it may be forgotten before it is asked for

    my $n = $got->{revision} - int rand $self->{t}{history} / 2;

    $n = 1 if $n < 1;

    return $self->ask('history', 'GET', "$api/history?revision=$n", [], undef,
                      a => $n);
}


# one of several changes; %can has "revert", where there is one, and "comment",
# the header for it

sub change {
    my ($self, %can) = @_;

    my $got = $self->ask('get', 'GET', $api, []);

    return if $got->{status} != 200;

    my $n = 0 + $got->{revision};
    my $document = $json->decode($got->{b});
    my $mark = sprintf '%s-%d', $self->{who}, ++$self->{made};

    my $rules = [ { name => $mark, variant => 'canary',
                    when => { '$arg_u' => 'probe' } } ];

    my ($method, $path, $body, @headers) = ('PATCH', $api);
    my %op = (type => 'patch', mark => $mark);
    my $change = { rules => $rules };
    my $dice = rand 100;
    my $conditional = rand 10 < 8;

    if ($dice < 12) {
        %op = (type => 'delete');
        $method = 'DELETE';
        $change = undef;

    } elsif ($dice < 22 && $can{revert} && $n > 1) {
        my $target = $n - 1 - int rand($n > 20 ? 20 : $n - 1);

        %op = (type => 'revert', target => $target);
        ($method, $path) = ('POST', "$api/revert");
        $change = { revision => $target };

    } elsif ($dice < 37) {
        @op{qw(type enabled weight)} = ('put', rand 10 < 7 ? 1 : 0,
                                        int rand 100);
        $method = 'PUT';
        $change = { %$document, rules => $rules };

        delete @$change{qw(allocation revision)};
        change_of($change, \%op);

        # that is a precondition, too

        if ($conditional && rand 2 < 1) {
            $change->{revision} = $op{given} = $n;
            $op{if} = $n;
            $conditional = 0;
        }

    } elsif ($dice < 62) {
        $op{enabled} = rand 10 < 7 ? 1 : 0;
        change_of($change, \%op);

    } else {
        $op{weight} = int rand 100;
        change_of($change, \%op);
    }

    # some are late, and some are not meant

    if ($conditional) {
        $op{if} = rand 20 < 1 && $n > 1 ? $n - 1 : $n;
        push @headers, 'If-Match' => "\"$op{if}\"";
    }

    if (rand 20 < 1) {
        $op{dry} = 1;
        $path .= '?dry_run=1';
    }

    push @headers, $can{comment} => "by $mark" if $can{comment} && rand 2 < 1;

    return $self->ask('write', $method, $path, \@headers,
                      $change && $json->encode($change),
                      a => $json->encode(\%op));
}


sub change_of {
    my ($change, $op) = @_;

    $change->{enabled} = $op->{enabled} ? JSON::PP::true : JSON::PP::false
        if defined $op->{enabled};

    $change->{variants}{canary}{weight} = $op->{weight}
        if defined $op->{weight};

    return;
}


1;
